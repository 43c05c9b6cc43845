//! Fast connect (H.323 section 8.1.7): channels that are proposed in the Setup, and taken or not in
//! an answer to it. A proposal for what the called side sends has its parameters in the reverse part,
//! and nothing in the forward one.

use rasn::types::OctetString;

use super::{Call, Codec, Medium, Output, control, rtcp, usable};
use crate::adapter::h323::{
    h245::{
        ChannelParameters, DataType, ForwardParameters, MultiplexParameters, OpenLogicalChannel,
        ReverseMultiplexParameters, ReverseParameters, TransportAddress,
    },
    per,
};

/// How many proposals are looked at.
const MAX_PROPOSALS: usize = 64;
const WHAT: &str = "fastStart";

impl Call {
    /// Both directions of each codec.
    pub(super) fn proposals(&self) -> Vec<Vec<u8>> {
        let codecs = self.settings.codecs.iter().copied();
        let mut channel = 0;
        codecs
            .filter_map(|codec| Some((codec, self.wanted(codec.medium())?)))
            .flat_map(|(codec, ours)| {
                channel += 1;
                let forward = ChannelParameters {
                    session: codec.medium().session(),
                    control: Some(rtcp(ours).into()),
                    ..ChannelParameters::default()
                };
                let reverse = ChannelParameters {
                    media: Some(ours.into()),
                    ..forward.clone()
                };
                [
                    sent(channel, codec, forward),
                    heard(channel, codec, reverse),
                ]
            })
            .filter_map(|proposal| per::write(&proposal, WHAT).ok())
            .collect()
    }

    /// Takes one of the peer's proposals for each medium and direction.
    pub(super) fn take_proposals(&mut self, proposals: &[OctetString]) {
        let proposals = read(proposals);
        for codec in self.settings.codecs.clone() {
            let Some(ours) = self.wanted(codec.medium()) else {
                continue;
            };
            for proposal in &proposals {
                let mut taken = proposal.clone();
                if let Some((parameters, told)) = they_send(&mut taken, codec) {
                    if self.control.receives(codec.medium(), told, codec) {
                        parameters.media = Some(ours.into());
                        parameters.control = Some(rtcp(ours).into());
                        self.accepted.extend(per::write(&taken, WHAT));
                        self.agreed.push(Output::Receive {
                            codec,
                            control: None,
                        });
                    }
                } else if let Some(parameters) = they_hear(&mut taken, codec)
                    && let Some(to) = address(parameters.media.as_ref())
                    && self.sent(codec.medium()).is_some()
                    && self.control.sends(codec.medium())
                {
                    let control = address(parameters.control.as_ref());
                    parameters.control = Some(rtcp(ours).into());
                    self.accepted.extend(per::write(&taken, WHAT));
                    self.agreed.push(Output::Send { codec, to, control });
                }
            }
        }
    }

    /// Reads which of our proposals the peer took.
    pub(super) fn answered_proposals(&mut self, answers: &[OctetString]) {
        if !self.settings.fast_start {
            return;
        }
        for mut answer in read(answers) {
            for codec in self.settings.codecs.clone() {
                // Seen from there: what they send is in the reverse part of what we proposed.
                if they_hear(&mut answer, codec).is_some() {
                    if self.control.receives(codec.medium(), answer.channel, codec) {
                        self.out.push(Output::Receive {
                            codec,
                            control: None,
                        });
                    }
                } else if let Some((parameters, _)) = they_send(&mut answer, codec)
                    && let Some(to) = address(parameters.media.as_ref())
                    && self.control.sends(codec.medium())
                {
                    let control = address(parameters.control.as_ref());
                    self.out.push(Output::Send { codec, to, control });
                }
            }
        }
    }
}

fn read(proposals: &[OctetString]) -> Vec<OpenLogicalChannel> {
    let proposals = proposals.iter().take(MAX_PROPOSALS);
    proposals
        .filter_map(|proposal| per::read(proposal, WHAT).ok())
        .collect()
}

fn address(at: Option<&TransportAddress>) -> Option<std::net::SocketAddrV4> {
    at.and_then(TransportAddress::ipv4).and_then(usable)
}

/// A channel of that codec from the one who proposed it.
fn they_send(
    proposal: &mut OpenLogicalChannel,
    codec: Codec,
) -> Option<(&mut ChannelParameters, u16)> {
    if proposal.reverse.is_some() || Codec::of(&proposal.forward.data) != Some(codec) {
        return None;
    }
    match &mut proposal.forward.multiplex {
        MultiplexParameters::H2250(parameters) => Some((parameters, proposal.channel)),
        _ => None,
    }
}

/// A channel of that codec to the one who proposed it.
fn they_hear(proposal: &mut OpenLogicalChannel, codec: Codec) -> Option<&mut ChannelParameters> {
    let reverse = proposal.reverse.as_mut()?;
    match &mut reverse.multiplex {
        Some(ReverseMultiplexParameters::H2250(parameters)) => {
            (Codec::of(&reverse.data) == Some(codec)).then_some(parameters)
        }
        _ => None,
    }
}

/// Opens a channel of ours.
pub(super) fn sent(channel: u16, codec: Codec, over: ChannelParameters) -> OpenLogicalChannel {
    OpenLogicalChannel {
        channel,
        forward: ForwardParameters {
            port: None,
            data: codec.data(),
            multiplex: MultiplexParameters::H2250(over),
        },
        reverse: None,
        separate_stack: None,
    }
}

/// Proposes a channel of theirs.
fn heard(channel: u16, codec: Codec, over: ChannelParameters) -> OpenLogicalChannel {
    OpenLogicalChannel {
        channel,
        forward: ForwardParameters {
            port: None,
            data: DataType::Null(()),
            multiplex: MultiplexParameters::None(()),
        },
        reverse: Some(ReverseParameters {
            data: codec.data(),
            multiplex: Some(ReverseMultiplexParameters::H2250(over)),
        }),
        separate_stack: None,
    }
}

impl control::Control {
    /// That we send that medium from now on; false if we do already.
    fn sends(&mut self, medium: Medium) -> bool {
        let slot = self.sending(medium);
        let free = slot.is_none();
        *slot = slot.or(Some(control::Sending::Open));
        free
    }

    /// That they send it from now on, on that channel; false if they do already.
    pub(super) fn receives(&mut self, medium: Medium, channel: u16, codec: Codec) -> bool {
        let slot = self.receiving(medium);
        let free = slot.is_none();
        *slot = slot.or(Some((channel, codec)));
        free
    }
}
