//! An H.323 terminal of our own: NetMeeting's call taken or made where no H.323 program is
//! installed. Bytes and events in, bytes and events out: only `drive` has sockets and a clock.

pub mod call;
mod drive;
pub mod h225;
pub mod h245;
pub mod per;
pub mod q931;
pub mod tpkt;

pub use drive::run;
use h225::{Body, ReleaseComplete, ReleaseReason, UserInformation};

/// The whole message that turns that call away: "user busy", and in H.323's own words
/// destinationRejection.
#[must_use]
pub fn turned_away(call: &q931::Setup) -> Vec<u8> {
    let body = ReleaseComplete::new(ReleaseReason::DestinationRejection(()), None);
    let message = q931::Message {
        kind: q931::kind::RELEASE_COMPLETE,
        reference: call.reference,
        of_called: true,
        name: None,
        cause: Some(q931::cause::BUSY),
        user: UserInformation::of(Body::ReleaseComplete(body))
            .write()
            .ok(),
    };
    tpkt::framed(&q931::write(&message)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_turned_away_in_the_bytes_that_were_made_by_hand_before() {
        let call = q931::Setup {
            reference: 0x1234,
            caller: None,
        };
        let expected = [
            3, 0, 0, 28, 8, 2, 0x92, 0x34, 0x5a, 8, 2, 0x80, 0x91, 0x7e, 0, 11, 5, 0x05, 0x40,
            0x06, 0x00, 0x08, 0x91, 0x4a, 0x00, 0x04, 0x18,
        ];
        assert_eq!(turned_away(&call).get(4..), expected.get(4..));
    }
}
