//! What we, and they, can do (H.323 section 8.2).

use rasn::types::Oid;

use crate::adapter::h323::{
    call::{Call, Codec, Medium},
    h245::{
        AlternativeCapabilitySet, Capability, CapabilityDescriptor, CapabilityTableEntry,
        DataApplication, DataApplicationCapability, DataProtocol, DataType, EntryNumber,
        H2250Capability, Message, MultiplexCapability, Numbered, Response, TerminalCapabilitySet,
    },
};

/// {itu-t recommendation h 245 version 7}.
const VERSION: &Oid = Oid::const_new(&[0, 0, 8, 245, 0, 7]);

impl Call {
    /// What we can do.
    pub(super) fn capabilities(&self) -> TerminalCapabilitySet {
        let codecs = self.settings.codecs.iter().copied();
        let codecs: Vec<_> = codecs.filter(|codec| self.has(*codec)).collect();
        let numbered = |medium| {
            let of_it = codecs
                .iter()
                .zip(1..)
                .filter(move |(codec, _)| codec.medium() == medium);
            let numbers: Vec<_> = of_it.map(|(_, number)| EntryNumber(number)).collect();
            (!numbers.is_empty()).then_some(AlternativeCapabilitySet(numbers))
        };
        let mut simultaneous: Vec<_> = [Medium::Audio, Medium::Video]
            .into_iter()
            .filter_map(numbered)
            .collect();
        let mut told: Vec<_> = codecs
            .iter()
            .filter_map(|codec| match codec.data() {
                DataType::Audio(audio) => Some(Capability::ReceiveAudio(audio)),
                DataType::Video(video) => Some(Capability::ReceiveVideo(video)),
                _ => None,
            })
            .collect();
        if self.settings.t120.is_some() {
            told.push(Capability::BothData(DataApplicationCapability {
                application: DataApplication::T120(DataProtocol::SeparateLanStack(())),
                max_bit_rate: 0,
            }));
            let number = u16::try_from(told.len()).unwrap_or(u16::MAX);
            simultaneous.push(AlternativeCapabilitySet(vec![EntryNumber(number)]));
        }
        let table = told
            .into_iter()
            .zip(1..)
            .map(|(capability, number)| CapabilityTableEntry {
                number,
                capability: Some(capability),
            });
        TerminalCapabilitySet {
            number: 1,
            protocol: VERSION.to_owned(),
            multiplex: Some(MultiplexCapability::H2250(H2250Capability::of_two())),
            table: Some(table.collect()),
            descriptors: Some(vec![CapabilityDescriptor {
                number: 0,
                simultaneous: Some(simultaneous),
            }]),
        }
    }

    pub(super) fn can(&mut self, set: TerminalCapabilitySet) {
        let entries = set.table.unwrap_or_default();
        let capabilities = entries.into_iter().filter_map(|entry| entry.capability);
        let codecs = capabilities.filter_map(|capability| match &capability {
            Capability::ReceiveAudio(audio) | Capability::BothAudio(audio) => {
                Codec::of_audio(audio)
            }
            Capability::ReceiveVideo(video) | Capability::BothVideo(video) => {
                Codec::of_video(video)
            }
            _ => None,
        });
        self.control.theirs = Some(codecs.collect());
        let number = set.number;
        self.tell(&Message::Response(Response::TerminalCapabilitySetAck(
            Numbered { number },
        )));
    }
}
