//! Writes incident files (`.msrcIncident`): one as FreeRDP 2.11 reads it, one for Windows
//! (APPLICATIONS.md 4.2 and 4.4, TOOLS.md 8).
//!
//! FreeRDP connects to the address in the file, so the file it gets names one address only: the one
//! that was checked and answered. Everything the peer chose is escaped.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::{
    encrypted::{self, PASSWORD},
    string_one::StringOne,
    string_two::StringTwo,
};

/// Stands for a password that nobody told us: FreeRDP refuses a file of Windows XP's kind without
/// this text, which must have a digit, an upper-case and a lower-case letter in these places.
const DUMMY_STUB: &str = "x-0Xxxxxxxxxxx";

/// How we are called in a file: FreeRDP takes it for our name and tells it to the peer. Without one
/// it tells the name of the user's account.
const NAME: &str = "Expert";

/// FreeRDP 2.11 does not take shorter ones for an address.
const SHORTEST_HOST: usize = 9;

/// How long Windows takes an invitation for valid, in minutes.
const VALID_MINUTES: u32 = 180;

/// A ticket of Windows XP for FreeRDP, which wants two addresses or more in the list, and still the
/// right one on its command line. UTF-8: FreeRDP does not read UTF-16.
#[must_use]
pub fn one_for_freerdp(one: &StringOne, at: SocketAddrV4) -> String {
    let ticket = format!(
        "65538,1,{at};{at},*,{},*,*,{}",
        one.session_id, one.parameters
    );
    let attributes = format!("RCTICKET=\"{}\" PassStub=\"{DUMMY_STUB}\"", escape(&ticket));
    upload("UTF-8", &attributes, true, 0)
}

/// A ticket of Windows Vista or later for FreeRDP. Left bare it would be read too, but FreeRDP 2.11
/// then ends when the other side asks for the password: "encrypt_pass_stub failed", exit code 131.
#[must_use]
pub fn two_for_freerdp(two: &StringTwo, at: SocketAddrV4) -> String {
    let encrypted = encrypted::hex(&bare(two, at), PASSWORD);
    let attributes = format!("LHTICKET=\"{encrypted}\" PassStub=\"{DUMMY_STUB}\"");
    upload("UTF-8", &attributes, true, 0)
}

/// The ticket with one address.
fn bare(two: &StringTwo, at: SocketAddrV4) -> String {
    let second = two.key_hash_2.as_deref();
    let second = second.map(|hash| format!(" KH2=\"{}\"", escape(hash)));
    format!(
        "<E><A KH=\"{}\"{} ID=\"{}\"/><C><T ID=\"1\" SID=\"0\"><L P=\"{}\" N=\"{}\"/></T></C></E>",
        escape(&two.key_hash),
        second.unwrap_or_default(),
        escape(&two.id),
        at.port(),
        host(*at.ip()),
    )
}

/// A ticket of Windows XP for Windows: the ticket as it came, in UTF-16 as Windows writes it, and
/// without a password. `now` is in seconds since 1970: Windows looks whether it is still valid.
#[must_use]
pub fn one_for_windows(ticket: &str, now: u64) -> Vec<u8> {
    let attributes = format!("RCTICKET=\"{}\"", escape(ticket));
    let text = upload("Unicode", &attributes, false, now);
    let units = text.encode_utf16().flat_map(u16::to_le_bytes);
    [0xff, 0xfe].into_iter().chain(units).collect()
}

fn upload(encoding: &str, attributes: &str, has_password: bool, start: u64) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"{encoding}\" ?><UPLOADINFO TYPE=\"Escalated\"><UPLOADDATA \
         USERNAME=\"{NAME}\" {attributes} RCTICKETENCRYPTED=\"{}\" DtStart=\"{start}\" \
         DtLength=\"{VALID_MINUTES}\" L=\"0\" /></UPLOADINFO>\n",
        u8::from(has_password),
    )
}

/// The address, made longer where it is too short: a number that begins with 0 is octal to every
/// reader of such addresses, and may have as many of them as it likes.
fn host(ip: Ipv4Addr) -> String {
    let plain = ip.to_string();
    if plain.len() >= SHORTEST_HOST {
        return plain;
    }
    let [a, b, c, d] = ip.octets();
    let start = format!("{a}.{b}.{c}.");
    let width = SHORTEST_HOST.saturating_sub(start.len() + 1);
    format!("{start}0{d:0width$o}")
}

/// As the value of an attribute in double quotes. Control characters, which XML cannot hold, are
/// left out.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !c.is_control()) {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::ticket::{Address, Host, Reading, Ticket, read},
        *,
    };

    fn at(text: &str) -> SocketAddrV4 {
        text.parse().unwrap()
    }

    fn ticket(bytes: &[u8]) -> Ticket {
        match read(bytes) {
            Reading::Ticket { ticket, .. } => ticket,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_for_freerdp_names_the_one_address_that_was_checked() {
        let one = StringOne {
            text: String::new(),
            addresses: vec![Address::read("192.0.2.1", "1").unwrap()],
            session_id: "QUJDRA==".into(),
            parameters: "RUZHSA==".into(),
        };
        assert_eq!(
            one_for_freerdp(&one, at("192.0.2.10:3389")),
            "<?xml version=\"1.0\" encoding=\"UTF-8\" ?><UPLOADINFO TYPE=\"Escalated\"><UPLOADDATA \
             USERNAME=\"Expert\" RCTICKET=\"65538,1,192.0.2.10:3389;192.0.2.10:3389,*,QUJDRA==,*,*,RUZHSA==\" \
             PassStub=\"x-0Xxxxxxxxxxx\" RCTICKETENCRYPTED=\"1\" DtStart=\"0\" DtLength=\"180\" L=\"0\" />\
             </UPLOADINFO>\n"
        );
        let two = StringTwo {
            addresses: vec![Address::read("192.0.2.1", "1").unwrap()],
            id: "a\"/><L P='1' N='evil'".into(),
            key_hash: "QUJD".into(),
            key_hash_2: Some("REVG".into()),
        };
        assert_eq!(
            bare(&two, at("192.0.2.10:49230")),
            "<E><A KH=\"QUJD\" KH2=\"REVG\" ID=\"a&quot;/&gt;&lt;L P=&apos;1&apos; N=&apos;evil&apos;\"/>\
             <C><T ID=\"1\" SID=\"0\"><L P=\"49230\" N=\"192.0.2.10\"/></T></C></E>"
        );
        let file = two_for_freerdp(&two, at("192.0.2.10:49230"));
        let Ticket::File(upload) = ticket(file.as_bytes()) else {
            panic!()
        };
        assert!(upload.has_encrypted_ticket && upload.asks_for_password);
    }

    #[test]
    fn a_dummy_password_stub_has_the_right_characters_in_the_right_places() {
        let stub: Vec<char> = DUMMY_STUB.chars().collect();
        assert_eq!(stub.len(), 14);
        let word = |c: &char| c.is_ascii_alphanumeric() || "*_".contains(*c);
        assert!(word(&stub[0]) && "!@#$&^*()-+=".contains(stub[1]));
        assert!(stub[2].is_ascii_digit() && stub[3].is_ascii_uppercase());
        assert!(stub[4].is_ascii_lowercase() && stub[5..].iter().all(word));
    }

    #[test]
    fn an_address_that_is_too_short_is_made_longer_and_stays_itself() {
        for (ip, written) in [
            ("10.0.0.1", "10.0.0.01"),
            ("10.0.0.9", "10.0.0.011"),
            ("8.8.8.8", "8.8.8.010"),
            ("1.1.1.1", "1.1.1.001"),
            ("8.8.8.99", "8.8.8.0143"),
            ("10.0.0.10", "10.0.0.10"),
            ("192.168.200.100", "192.168.200.100"),
        ] {
            let written_now = host(ip.parse().unwrap());
            assert!(written_now.len() >= SHORTEST_HOST);
            assert_eq!(written_now, written, "{ip}");
        }
    }

    #[test]
    fn a_file_for_windows_holds_the_ticket_as_it_came() {
        let text = "65538,1,192.0.2.10:3389;HOST:3389,*,QUJDRA==,*,*,RUZHSA==";
        let bytes = one_for_windows(text, 1_314_905_741);
        let Ticket::File(upload) = ticket(&bytes) else {
            panic!()
        };
        assert_eq!(Ticket::One(upload.ticket.unwrap()), ticket(text.as_bytes()));
        assert!(!upload.asks_for_password);
        let units: Vec<u16> = bytes[2..]
            .chunks(2)
            .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
            .collect();
        let written = String::from_utf16(&units).unwrap();
        assert!(
            written.contains("DtStart=\"1314905741\" DtLength=\"180\" L=\"0\""),
            "{written}"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_with_that_address_only(
            id in "[!-~\u{e9}]{1,40}", key_hash in "[!-~]{1,40}", second in proptest::option::of("[ -~]{1,9}"),
            ip in any::<[u8; 4]>(), port in 1..=u16::MAX,
        ) {
            let second = second.filter(|text| !text.trim().is_empty());
            let two = StringTwo { addresses: vec![], id, key_hash, key_hash_2: second };
            let at = SocketAddrV4::new(ip.into(), port);
            let written = bare(&two, at);
            let Ticket::Two(read) = ticket(written.as_bytes()) else { panic!() };
            prop_assert_eq!(read.addresses.len(), 1);
            prop_assert_eq!(read.addresses[0].port, port);
            let short = at.ip().to_string().len() < SHORTEST_HOST;
            prop_assert!(short || read.addresses[0].host == Host::Ip(ip.into()));
            prop_assert_eq!(StringTwo { addresses: vec![], ..read }, two);
        }
    }
}
