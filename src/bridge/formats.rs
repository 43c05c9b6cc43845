//! How a bridge names the coding of a payload type that has none of its own, as `a=rtpmap` does
//! (RFC 8866 section 6.6): `97 H264/90000`.

use crate::media::sdp::Format;

/// What a text that should be a payload type with its coding is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no payload type with its coding: write one such as \"97 H264/90000\", with a number up to 127"
)]
pub struct NoFormat(String);

/// Reads one.
pub(super) fn read(text: &str) -> Result<Format, NoFormat> {
    parse(text).ok_or_else(|| NoFormat(text.chars().take(64).collect()))
}

fn parse(text: &str) -> Option<Format> {
    let (number, coding) = text.split_once(' ')?;
    let (name, clock) = coding.split_once('/')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    let is_name = !name.is_empty() && name.chars().all(plain);
    Some(Format {
        payload_type: number.parse().ok().filter(|number| *number < 128)?,
        name: is_name.then(|| name.to_owned())?,
        clock: clock.parse().ok().filter(|clock| *clock > 0)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_type_and_its_coding() {
        let format = read("97 H263-1998/90000").unwrap();
        assert_eq!((format.payload_type, format.clock), (97, 90_000));
        assert_eq!(format.name, "H263-1998");
        for wrong in [
            "",
            "97",
            "97 H264",
            "128 H264/90000",
            "97 /90000",
            "97 H264/0",
            "97 H 264/90000",
            "97 H264/90000\r\na=x",
            "x H264/90000",
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
