//! The channels of a call: ours are opened when both sides know each other's capabilities.

use std::net::SocketAddrV4;

use super::{super::fast, Sending};
use crate::adapter::h323::{
    call::{Call, Codec, Ended, Medium, Output, rtcp, usable},
    h225::ReleaseReason,
    h245::{
        AckParameters, ChannelParameters, CloseLogicalChannel, CloseSource, DataApplication,
        DataType, ForwardMultiplexAck, Message, MultiplexParameters, NetworkAccess, OfChannel,
        OpenLogicalChannel, OpenLogicalChannelAck, OpenLogicalChannelReject, RejectCause, Request,
        Response, ReverseAck, ReverseAckMultiplex, TransportAddress,
    },
};

/// The sessionID of data.
const DATA: u8 = 3;
/// The number of our direction of a channel of T.120.
const DATA_CHANNEL: u16 = 103;

/// The number of our channel; those of a fast start are less.
fn channel_of(medium: Medium) -> u16 {
    100 + u16::from(medium.session())
}

fn medium_of(channel: u16) -> Option<Medium> {
    [Medium::Audio, Medium::Video]
        .into_iter()
        .find(|medium| channel_of(*medium) == channel)
}

impl Call {
    /// Opens ours, once everything before it is settled.
    pub(super) fn open_channels(&mut self) {
        if self.over() || !self.control.known || !self.control.settled {
            return;
        }
        let Some(theirs) = self.control.theirs.clone() else {
            return;
        };
        for medium in [Medium::Audio, Medium::Video] {
            let Some(ours) = self.sent(medium) else {
                continue;
            };
            if self.control.sending(medium).is_some() {
                continue;
            }
            // As they send, if they can: then nothing has to be converted.
            let as_theirs = self.control.receiving(medium).map(|(_, codec)| codec);
            let codecs = as_theirs.into_iter().chain(self.settings.codecs.clone());
            let mut common =
                codecs.filter(|codec| codec.medium() == medium && theirs.contains(codec));
            let Some(codec) = common.next() else {
                if medium == Medium::Audio && !theirs.is_empty() {
                    self.hang_up(Ended::NoCodec, ReleaseReason::UndefinedReason(()));
                    return;
                }
                continue;
            };
            *self.control.sending(medium) = Some(Sending::Asked(codec));
            let over = ChannelParameters {
                session: medium.session(),
                control: Some(rtcp(ours).into()),
                ..ChannelParameters::default()
            };
            let open = fast::sent(channel_of(medium), codec, over);
            self.tell(&Message::Request(Request::OpenLogicalChannel(open)));
        }
    }

    /// The peer took a channel of ours.
    pub(super) fn opened(&mut self, ack: &OpenLogicalChannelAck) {
        let Some(medium) = medium_of(ack.channel) else {
            return;
        };
        let Some(Sending::Asked(codec)) = *self.control.sending(medium) else {
            return;
        };
        let Some(ForwardMultiplexAck::H2250(said)) = &ack.forward else {
            return;
        };
        let at = |address: &Option<TransportAddress>| {
            address
                .as_ref()
                .and_then(TransportAddress::ipv4)
                .and_then(usable)
        };
        let control = at(&said.control);
        if let Some(to) = at(&said.media) {
            *self.control.sending(medium) = Some(Sending::Open);
            self.out.push(Output::Send { codec, to, control });
        }
    }

    pub(super) fn refused(&mut self, channel: u16) {
        if let Some(medium) = medium_of(channel) {
            *self.control.sending(medium) = Some(Sending::Shut);
        }
    }

    /// The peer opens a channel.
    pub(super) fn opens(&mut self, open: &OpenLogicalChannel) {
        let answer = match (Codec::of(&open.forward.data), &open.forward.data) {
            (Some(codec), _) if self.has(codec) => self.take(open, codec),
            (_, DataType::Data(data)) if matches!(data.application, DataApplication::T120(_)) => {
                self.take_data(open.channel)
            }
            _ => Err(RejectCause::DataTypeNotSupported(())),
        };
        let answer = match answer {
            Ok(ack) => Response::OpenLogicalChannelAck(ack),
            Err(cause) => Response::OpenLogicalChannelReject(OpenLogicalChannelReject {
                channel: open.channel,
                cause,
            }),
        };
        self.tell(&Message::Response(answer));
    }

    fn take(
        &mut self,
        open: &OpenLogicalChannel,
        codec: Codec,
    ) -> Result<OpenLogicalChannelAck, RejectCause> {
        let medium = codec.medium();
        let MultiplexParameters::H2250(theirs) = &open.forward.multiplex else {
            return Err(RejectCause::Unspecified(()));
        };
        let control = theirs.control.as_ref();
        let control = control.and_then(TransportAddress::ipv4).and_then(usable);
        let ours = self.wanted(medium);
        let ours = ours.ok_or(RejectCause::DataTypeNotSupported(()))?;
        let channel = open.channel;
        // One of each medium. The same channel once more is another try.
        let current = *self.control.receiving(medium);
        if current.is_some_and(|(open, _)| open != channel) {
            return Err(RejectCause::DataTypeNotAvailable(()));
        }
        *self.control.receiving(medium) = Some((channel, codec));
        self.out.push(Output::Receive { codec, control });
        Ok(acknowledged(channel, Some(media(medium.session(), ours))))
    }

    fn take_data(&mut self, channel: u16) -> Result<OpenLogicalChannelAck, RejectCause> {
        let at = self.settings.t120;
        let at = at.ok_or(RejectCause::DataTypeNotSupported(()))?;
        self.out.push(Output::Data);
        let over = ChannelParameters {
            session: DATA,
            media: Some(at.into()),
            ..ChannelParameters::default()
        };
        Ok(OpenLogicalChannelAck {
            reverse: Some(ReverseAck {
                channel: DATA_CHANNEL,
                port: None,
                multiplex: Some(ReverseAckMultiplex::H2250(over)),
            }),
            separate_stack: Some(NetworkAccess::at(at)),
            ..acknowledged(channel, None)
        })
    }

    /// The peer closes a channel of its own.
    pub(super) fn closes(&mut self, channel: u16) {
        for medium in [Medium::Audio, Medium::Video] {
            let slot = self.control.receiving(medium);
            if slot.is_some_and(|(open, _)| open == channel) {
                *slot = None;
                self.out.push(Output::Stop(medium));
            }
        }
        let closed = OfChannel { channel };
        self.tell(&Message::Response(Response::CloseLogicalChannelAck(closed)));
    }

    /// The peer wants a channel of ours closed.
    pub(super) fn shuts(&mut self, channel: u16) {
        let Some(medium) = medium_of(channel) else {
            return;
        };
        if *self.control.sending(medium) != Some(Sending::Open) {
            return;
        }
        *self.control.sending(medium) = Some(Sending::Shut);
        self.out.push(Output::Silence(medium));
        let shut = OfChannel { channel };
        self.tell(&Message::Response(Response::RequestChannelCloseAck(shut)));
        let source = CloseSource::User(());
        let close = CloseLogicalChannel { channel, source };
        self.tell(&Message::Request(Request::CloseLogicalChannel(close)));
    }
}

fn media(session: u8, ours: SocketAddrV4) -> AckParameters {
    AckParameters {
        session: Some(session),
        media: Some(ours.into()),
        control: Some(rtcp(ours).into()),
        ..AckParameters::default()
    }
}

fn acknowledged(channel: u16, over: Option<AckParameters>) -> OpenLogicalChannelAck {
    OpenLogicalChannelAck {
        channel,
        reverse: None,
        separate_stack: None,
        forward: over.map(ForwardMultiplexAck::H2250),
    }
}
