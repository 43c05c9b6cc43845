//! The incident file as Windows writes it (`.msrcIncident`; APPLICATIONS.md 4.2), should a peer send
//! a whole one as context data.
//!
//! ```xml
//! <UPLOADINFO TYPE="Escalated"><UPLOADDATA USERNAME="..." RCTICKET="65538,1,..." PassStub="..." .../></UPLOADINFO>
//! ```

use super::{
    string_one::StringOne,
    string_two::{attribute, begins_as_element, child, document, up_to},
    ticket::{Fault, Generation, Reading, Ticket},
};

/// What an incident file holds, as far as it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its ticket of Windows XP's kind.
    pub ticket: Option<StringOne>,
    /// It has a ticket of Vista's kind, encrypted with the password.
    pub has_encrypted_ticket: bool,
    /// It names a password, which only the two people know.
    pub asks_for_password: bool,
}

impl Upload {
    /// Who wrote it.
    #[must_use]
    pub fn generation(&self) -> Generation {
        if self.has_encrypted_ticket {
            Generation::Vista
        } else {
            Generation::Xp
        }
    }

    /// What a text that begins as one is.
    pub(super) fn reading(text: &str) -> Reading {
        let Some((xml, _)) = up_to(text, "</UPLOADINFO>") else {
            return if begins_as_element(text, "UPLOADINFO") {
                Reading::Unfinished
            } else {
                Reading::Malformed(Fault::Xml)
            };
        };
        match Self::parse(xml) {
            Ok(upload) => Reading::Ticket {
                ticket: Ticket::File(upload),
                whole: true,
            },
            Err(fault) => Reading::Malformed(fault),
        }
    }

    fn parse(xml: &str) -> Result<Self, Fault> {
        let document = document(xml)?;
        let data = child(document.root_element(), "UPLOADDATA");
        let data = data.ok_or(Fault::Lacks("the element UPLOADDATA"))?;
        let ticket = attribute(data, "RCTICKET").and_then(|text| match StringOne::reading(&text) {
            Reading::Ticket {
                ticket: Ticket::One(one),
                ..
            } => Some(one),
            _ => None,
        });
        let has_encrypted_ticket = attribute(data, "LHTICKET").is_some();
        if ticket.is_none() && !has_encrypted_ticket {
            return Err(Fault::Lacks("a ticket"));
        }
        Ok(Self {
            ticket,
            has_encrypted_ticket,
            asks_for_password: has_encrypted_ticket || attribute(data, "PassStub").is_some(),
        })
    }
}
