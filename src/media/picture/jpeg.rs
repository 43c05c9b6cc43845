//! JPEG (RFC 2435): fragments of a scan, from which whole JFIF pictures are made again. One after
//! the other they are what players call Motion JPEG.

use super::{
    Malformed,
    jpeg_file::{Shape, Tables, file},
    jpeg_tables::quantisation,
};
use crate::media::rtp::Packet;

/// The longest scan that is put together, in bytes: the offset could say 16 MiB.
const MAX_SCAN: usize = 4 << 20;

#[derive(Debug)]
struct Fragment<'a> {
    offset: usize,
    shape: Shape,
    data: &'a [u8],
}

/// A picture being put together.
#[derive(Debug)]
struct Picture {
    timestamp: u32,
    shape: Shape,
    tables: Tables,
    scan: Vec<u8>,
}

/// The pictures of a stream.
#[derive(Debug, Default)]
pub(super) struct Frames {
    picture: Option<Picture>,
    /// What a quality from 128 to 254 means: the tables need not come with every picture.
    known: Option<(u8, Tables)>,
}

fn fragment(payload: &[u8]) -> Result<Fragment<'_>, Malformed> {
    let ([_, high, middle, low, kind, quality, width, height], mut data) = payload
        .split_first_chunk::<8>()
        .ok_or(Malformed("no JPEG header"))?;
    let offset = u32::from_be_bytes([0, *high, *middle, *low]);
    if *width == 0 || *height == 0 {
        return Err(Malformed("a JPEG picture without size"));
    }
    let mut restart_interval = None;
    let kind = match kind {
        0 | 1 => *kind,
        64 | 65 => {
            let ([first, second, _, _], rest) = data
                .split_first_chunk::<4>()
                .ok_or(Malformed("no header of restart markers"))?;
            restart_interval = Some(u16::from_be_bytes([*first, *second]));
            data = rest;
            kind & 63
        }
        _ => return Err(Malformed("an unknown kind of JPEG")),
    };
    Ok(Fragment {
        offset: usize::try_from(offset).unwrap_or(usize::MAX),
        shape: Shape {
            kind,
            quality: *quality,
            width: *width,
            height: *height,
            restart_interval,
        },
        data,
    })
}

/// Whether a payload begins a picture.
pub(super) fn begins(payload: &[u8]) -> bool {
    fragment(payload).is_ok_and(|fragment| fragment.offset == 0)
}

impl Frames {
    /// Takes a fragment; the last one of a picture gives all of it. A picture of which something
    /// is lost is left out.
    pub(super) fn take(&mut self, packet: &Packet<'_>) -> Result<Vec<u8>, Malformed> {
        let Fragment {
            offset,
            shape,
            mut data,
        } = fragment(packet.payload)?;
        if offset == 0 {
            self.picture = None;
            let tables = match shape.quality {
                0 | 100..=127 => return Err(Malformed("a reserved quality of JPEG")),
                1..=99 => Tables(quantisation(shape.quality)),
                128.. => {
                    let (tables, rest) = self.tables(shape.quality, data)?;
                    data = rest;
                    tables
                }
            };
            self.picture = Some(Picture {
                timestamp: packet.timestamp,
                shape,
                tables,
                scan: Vec::new(),
            });
        }
        let Some(mut picture) = self.picture.take() else {
            // Its beginning is lost.
            return Ok(Vec::new());
        };
        let continues = picture.timestamp == packet.timestamp
            && picture.scan.len() == offset
            && picture.shape == shape;
        if !continues {
            return Ok(Vec::new());
        }
        if picture.scan.len().saturating_add(data.len()) > MAX_SCAN {
            return Err(Malformed("a JPEG picture that is too large"));
        }
        picture.scan.extend_from_slice(data);
        if packet.marker {
            return Ok(file(picture.shape, &picture.tables, &picture.scan));
        }
        self.picture = Some(picture);
        Ok(Vec::new())
    }

    /// The quantisation table header (section 3.1.8), and what follows it.
    fn tables<'a>(&mut self, quality: u8, data: &'a [u8]) -> Result<(Tables, &'a [u8]), Malformed> {
        let ([_, precision, high, low], rest) = data
            .split_first_chunk::<4>()
            .ok_or(Malformed("no header of quantisation tables"))?;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (bytes, rest) = rest
            .split_at_checked(length)
            .ok_or(Malformed("quantisation tables that are cut off"))?;
        if bytes.is_empty() {
            // 255 may mean something else in every picture.
            let known = self.known.as_ref().filter(|_| quality < 255);
            let known = known.filter(|(known, _)| *known == quality);
            let (_, tables) = known.ok_or(Malformed("quantisation tables that never came"))?;
            return Ok((tables.clone(), rest));
        }
        let size = |wide: u8| if precision & wide == 0 { 64 } else { 128 };
        let wrong = Malformed("quantisation tables of a wrong length");
        let (first, others) = bytes.split_at_checked(size(1)).ok_or(wrong)?;
        // One alone serves for both; ffmpeg sends that.
        let second = if others.is_empty() {
            first
        } else {
            others.get(..size(2)).ok_or(wrong)?
        };
        let tables = Tables([first.to_vec(), second.to_vec()]);
        self.known = Some((quality, tables.clone()));
        Ok((tables, rest))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(marker: bool, timestamp: u32, payload: &[u8]) -> Packet<'_> {
        Packet {
            payload_type: 26,
            marker,
            sequence: 0,
            timestamp,
            source: 1,
            payload,
        }
    }

    /// Takes fragments `(marker, timestamp, payload)`; the pictures that came out.
    fn run(fragments: &[(bool, u32, Vec<u8>)]) -> Vec<Vec<u8>> {
        let mut frames = Frames::default();
        let taken = fragments.iter().map(|(marker, timestamp, payload)| {
            frames.take(&packet(*marker, *timestamp, payload)).unwrap()
        });
        taken.filter(|picture| !picture.is_empty()).collect()
    }

    fn plain(offset: u8, quality: u8, data: &[u8]) -> Vec<u8> {
        [&[0, 0, 0, offset, 1, quality, 22, 18], data].concat()
    }

    /// The segment of that marker, with its length.
    fn find(picture: &[u8], marker: u8) -> Option<Vec<u8>> {
        let mut rest = &picture[2..];
        while let [0xff, here, high, low, ..] = rest {
            let length = usize::from(u16::from_be_bytes([*high, *low])) + 2;
            if *here == marker {
                return Some(rest[4..length].to_vec());
            }
            rest = &rest[length..];
        }
        None
    }

    #[test]
    fn fragments_become_a_picture_with_its_headers() {
        let pictures = run(&[
            (false, 9, plain(0, 50, &[1, 2, 3])),
            (true, 9, plain(3, 50, &[4, 5])),
        ]);
        let [picture] = pictures.as_slice() else {
            panic!("{pictures:?}")
        };
        assert!(picture.starts_with(&[0xff, 0xd8, 0xff, 0xe0]));
        assert!(picture.ends_with(&[0, 63, 0, 1, 2, 3, 4, 5, 0xff, 0xd9]));
        let frame = [8, 0, 144, 0, 176, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1];
        assert_eq!(find(picture, 0xc0).unwrap(), frame);
        assert_eq!(find(picture, 0xdb).unwrap()[..3], [0, 16, 11]);
        assert_eq!(find(picture, 0xdd), None);
    }

    #[test]
    fn a_picture_with_a_hole_is_left_out() {
        let pictures = run(&[
            (false, 9, plain(0, 50, &[1, 2, 3])),
            (true, 9, plain(4, 50, &[5])),
            (true, 18, plain(3, 50, &[5])),
            (false, 27, plain(0, 50, &[1])),
            (true, 36, plain(1, 50, &[2])),
            (true, 45, plain(0, 50, &[6])),
        ]);
        assert_eq!(pictures.len(), 1);
        assert!(pictures[0].ends_with(&[6, 0xff, 0xd9]));
    }

    #[test]
    fn tables_are_taken_from_the_header_and_kept_for_their_quality() {
        let with = |quality, precision: u8, tables: &[u8]| {
            let length = u16::try_from(tables.len()).unwrap().to_be_bytes();
            let header = [0, precision, length[0], length[1]];
            plain(0, quality, &[&header, tables, &[7]].concat())
        };
        let both: Vec<u8> = (1..=128).collect();
        let wide = [vec![1; 64], vec![2; 128]].concat();
        let pictures = run(&[
            (true, 1, with(128, 0, &both)),
            (true, 2, with(128, 0, &[])),
            (true, 3, with(255, 2, &wide)),
            (true, 4, with(255, 0, &both[..64])),
        ]);
        assert_eq!(pictures[0], pictures[1]);
        assert_eq!(
            find(&pictures[0], 0xdb).unwrap(),
            [&[0], &both[..64]].concat()
        );
        let tables: Vec<usize> = (0..pictures[2].len() - 4)
            .filter(|at| pictures[2][*at..].starts_with(&[0xff, 0xdb]))
            .map(|at| usize::from(pictures[2][at + 3]))
            .collect();
        assert_eq!(tables, [67, 131]);
        assert_eq!(pictures.len(), 4);
        let mut frames = Frames::default();
        for payload in [with(255, 0, &[]), with(130, 0, &[]), with(128, 0, &[1; 63])] {
            assert!(frames.take(&packet(true, 1, &payload)).is_err());
        }
    }

    #[test]
    fn restart_markers_are_told_in_the_picture() {
        let payload = [&[0, 0, 0, 0, 65, 50, 22, 18, 0, 11, 0xff, 0xff][..], &[9]].concat();
        let pictures = run(&[(true, 1, payload)]);
        assert_eq!(find(&pictures[0], 0xdd).unwrap(), [0, 11]);
    }

    proptest! {
        #[test]
        fn no_payload_makes_it_panic(
            fragments in prop::collection::vec((any::<bool>(), 0..3_u32, 0..4_u8, prop::sample::select(vec![0, 1, 2, 64, 65]), any::<u8>(), prop::collection::vec(any::<u8>(), 0..140)), 0..20)
        ) {
            let mut frames = Frames::default();
            for (marker, timestamp, offset, kind, quality, data) in fragments {
                let payload = [&[0, 0, 0, offset, kind, quality, 2, 2], data.as_slice()].concat();
                let _ = frames.take(&packet(marker, timestamp, &payload));
                let _ = frames.take(&packet(marker, timestamp, &data));
            }
        }
    }
}
