//! Q.931 is read and written.

use proptest::prelude::*;

use super::*;

/// A Setup with these information elements.
fn setup(elements: &[u8]) -> Vec<u8> {
    [&[8, 2, 0x12, 0x34, 5], elements].concat()
}

#[test]
fn who_calls_is_read() {
    let bearer = [4, 3, 0x88, 0xc0, 0xa5];
    let display = [0x28, 5, b'A', b'n', b'n', b' ', 0];
    let number = [0x6c, 4, 0x00, 0x80, b'4', b'2'];
    let short_number = [0x6c, 3, 0x81, b'4', b'2'];
    let user = [0x7e, 0, 2, 5, 0];
    for (elements, caller) in [
        (
            [&bearer[..], &display, &number, &user].concat(),
            Some("Ann"),
        ),
        ([&bearer[..], &number, &user].concat(), Some("42")),
        ([&[0xa1][..], &short_number].concat(), Some("42")),
        ([&[0x28, 0][..], &[0x6c, 0], &user].concat(), None),
        (user.to_vec(), None),
        (Vec::new(), None),
    ] {
        let read = read_setup(&setup(&elements)).unwrap();
        assert_eq!(read.reference, 0x1234);
        assert_eq!(read.caller.as_deref(), caller, "{elements:02x?}");
    }
}

#[test]
fn what_is_no_call_is_told_apart() {
    for (message, why) in [
        (&b""[..], NotQ931::Other),
        (&[0x06, 0xe0, 0, 0, 0, 0, 0], NotQ931::Other),
        (&[8, 2, 0, 1], NotQ931::Short),
        (&[8, 2, 0, 1, 7], NotQ931::OtherType(7)),
        (&[8, 2, 0x80, 1, 5], NotQ931::OtherType(5)),
        (&[8, 2, 0, 1, 5, 0x28], NotQ931::Short),
        (&[8, 2, 0, 1, 5, 0x28, 2, b'a'], NotQ931::Short),
        (&[8, 2, 0, 1, 5, 0x7e, 0], NotQ931::Short),
    ] {
        assert_eq!(read_setup(message), Err(why), "{message:02x?}");
    }
}

#[test]
fn what_is_written_is_read() {
    for kind in [
        kind::SETUP,
        kind::CONNECT,
        kind::RELEASE_COMPLETE,
        kind::FACILITY,
    ] {
        let message = Message {
            kind,
            reference: 0x1234,
            of_called: kind != kind::SETUP,
            name: Some("Ann".into()),
            cause: Some(17),
            user: Some(vec![1; 300]),
        };
        assert_eq!(read(&write(&message)), Ok(message));
    }
}

proptest! {
    #[test]
    fn reading_never_panics(message in proptest::collection::vec(any::<u8>(), 0..600), begun in any::<bool>()) {
        let message = if begun { setup(&message) } else { message };
        if let Ok(call) = read(&message) {
            prop_assert!(call.name.is_none_or(|name| name.len() <= 3 * MAX_NAME));
            prop_assert!(call.reference < 0x8000);
        }
    }

    #[test]
    fn a_cut_setup_is_short_or_still_a_setup(cut in 0..20usize) {
        let whole = setup(&[4, 3, 0x88, 0xc0, 0xa5, 0x28, 3, b'A', b'n', b'n', 0x7e, 0, 1, 5]);
        let cut = whole.get(..cut.min(whole.len())).unwrap_or_default();
        prop_assert!(!matches!(read_setup(cut), Err(NotQ931::OtherType(_))));
    }
}
