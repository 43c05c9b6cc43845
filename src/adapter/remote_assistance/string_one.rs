//! Connection string 1: the ticket of Windows XP and Server 2003 (MS-RAI 2.2.1; APPLICATIONS.md
//! 4.2). Eight fields with commas between:
//!
//! ```text
//! 65538,1,ADDRESS:PORT;ADDRESS:PORT,*,SESSION-ID,*,*,PARAMETERS
//! ```

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::ticket::{Address, Fault, MAX_ADDRESSES, Reading, Ticket};

/// How many fields it has.
const FIELDS: usize = 8;

/// A ticket of Windows XP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StringOne {
    /// All of it, as it came.
    pub text: String,
    /// Where the one who wants help listens, in the order to try.
    pub addresses: Vec<Address>,
    /// Id of the session: base64, not empty.
    pub session_id: String,
    /// What the protocol needs besides, a hash of a key: base64, not empty.
    pub parameters: String,
}

impl StringOne {
    /// What a text that begins as one is.
    pub(super) fn reading(text: &str) -> Reading {
        // Nothing in it is a blank: what follows one belongs to something else.
        let end = text.find(|c: char| c.is_whitespace() || c.is_control());
        let (text, ended) = match end.and_then(|at| text.split_at_checked(at)) {
            Some((text, _)) => (text, true),
            None => (text, false),
        };
        let fields: Vec<&str> = text.split(',').take(FIELDS + 1).collect();
        let &[
            _,
            _,
            addresses,
            star,
            session_id,
            star_2,
            star_3,
            parameters,
        ] = fields.as_slice()
        else {
            return match fields.len() {
                ..FIELDS if !ended => Reading::Unfinished,
                ..FIELDS => Reading::Malformed(Fault::Lacks("some of its eight fields")),
                _ => Reading::Malformed(Fault::Fields),
            };
        };
        if [star, star_2, star_3] != ["*"; 3] {
            return Reading::Malformed(Fault::Star);
        }
        if !is_base64(session_id) {
            return Reading::Malformed(Fault::NotBase64);
        }
        if !is_base64(parameters) {
            // It may go on.
            return match ended {
                false if is_beginning(parameters) => Reading::Unfinished,
                _ => Reading::Malformed(Fault::NotBase64),
            };
        }
        let addresses: Vec<Address> = addresses
            .split(';')
            .filter_map(|entry| entry.rsplit_once(':'))
            .filter_map(|(host, port)| Address::read(host, port))
            .take(MAX_ADDRESSES)
            .collect();
        if addresses.is_empty() {
            return Reading::Malformed(Fault::NoAddress);
        }
        // Nothing follows the padding of base64; without it the field may go on.
        let whole = ended || parameters.ends_with('=');
        let one = Self {
            text: text.to_owned(),
            addresses,
            session_id: session_id.to_owned(),
            parameters: parameters.to_owned(),
        };
        Reading::Ticket {
            ticket: Ticket::One(one),
            whole,
        }
    }
}

fn is_base64(text: &str) -> bool {
    !text.is_empty() && STANDARD.decode(text).is_ok()
}

/// Whether more could make it base64.
fn is_beginning(text: &str) -> bool {
    let letters = text.trim_end_matches('=');
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
    letters.chars().all(letter) && text.len() - letters.len() <= 1
}
