//! G.711, the codec that everything speaks (APPLICATIONS.md 1.4), over audio-codec-algorithms.

/// One of the two laws of G.711.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum G711 {
    /// µ-law, payload type 0.
    Ulaw,
    /// A-law, payload type 8.
    Alaw,
}

impl G711 {
    /// By static payload type (RFC 3551 section 6).
    #[must_use]
    pub fn of(payload_type: u8) -> Option<Self> {
        match payload_type {
            0 => Some(Self::Ulaw),
            8 => Some(Self::Alaw),
            _ => None,
        }
    }

    /// Its static payload type.
    #[must_use]
    pub fn payload_type(self) -> u8 {
        match self {
            Self::Ulaw => 0,
            Self::Alaw => 8,
        }
    }

    /// One byte for each sample.
    pub fn encode(self, samples: &[i16]) -> impl Iterator<Item = u8> + '_ {
        samples.iter().map(move |sample| match self {
            Self::Ulaw => audio_codec_algorithms::encode_ulaw(*sample),
            Self::Alaw => audio_codec_algorithms::encode_alaw(*sample),
        })
    }

    /// One sample for each byte.
    pub fn decode(self, bytes: &[u8]) -> impl Iterator<Item = i16> + '_ {
        bytes.iter().map(move |byte| match self {
            Self::Ulaw => audio_codec_algorithms::decode_ulaw(*byte),
            Self::Alaw => audio_codec_algorithms::decode_alaw(*byte),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_laws_are_those_of_g_711() {
        // ITU-T G.711 tables 1a and 2a: silence, the smallest and the largest values, on the wire.
        for (law, byte, sample) in [
            (G711::Ulaw, 0xff, 0),
            (G711::Ulaw, 0x80, 32_124),
            (G711::Ulaw, 0x00, -32_124),
            (G711::Alaw, 0xd5, 8),
            (G711::Alaw, 0x55, -8),
            (G711::Alaw, 0xaa, 32_256),
            (G711::Alaw, 0x2a, -32_256),
        ] {
            let decoded: Vec<i16> = law.decode(&[byte]).collect();
            assert_eq!(decoded, [sample], "{law:?} {byte:#x}");
            let encoded: Vec<u8> = law.encode(&[sample]).collect();
            assert_eq!(encoded, [byte], "{law:?} {sample}");
        }
    }

    #[test]
    fn every_sample_comes_back_nearly() {
        for law in [G711::Ulaw, G711::Alaw] {
            assert_eq!(G711::of(law.payload_type()), Some(law));
            for sample in i16::MIN..=i16::MAX {
                let bytes: Vec<u8> = law.encode(&[sample]).collect();
                let back = law.decode(&bytes).next().unwrap();
                let off = (i32::from(back) - i32::from(sample)).abs();
                let most = 16 + i32::from(sample).abs() / 16;
                assert!(off <= most, "{law:?}: {sample} became {back}");
            }
        }
    }
}
