//! Encrypts a ticket of Windows Vista's kind as it stands in an incident file (`LHTICKET`; MS-RAI
//! 2.2.2): AES-128-CBC with a key derived from the password (CryptDeriveKey with SHA-1).
//!
//! There is no secret here. FreeRDP 2.11 goes on with a ticket only if the file has a password, so
//! the file gets one that everybody knows, [`PASSWORD`].

use aes::Aes128;
use cbc::{
    Encryptor,
    cipher::{BlockModeEncrypt as _, KeyIvInit as _, block_padding::Pkcs7},
};
use sha1::{Digest as _, Sha1};

/// What stands for a password, in the file and on FreeRDP's command line.
pub const PASSWORD: &str = "x";

/// The text as hexadecimal digits, in capitals.
pub(super) fn hex(text: &str, password: &str) -> String {
    let utf16 =
        |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    let hash = Sha1::digest(utf16(password));
    let mut padded = [0x36; 64];
    for (byte, hashed) in padded.iter_mut().zip(hash) {
        *byte ^= hashed;
    }
    let derived = Sha1::digest(padded);
    let mut key = [0; 16];
    for (byte, derived) in key.iter_mut().zip(derived) {
        *byte = derived;
    }
    let encrypted = Encryptor::<Aes128>::new(&key.into(), &[0; 16].into())
        .encrypt_padded_vec::<Pkcs7>(&utf16(text));
    encrypted.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openssl_encrypts_it_the_same_way() {
        for (password, encrypted) in [
            ("x", "316D6E3BC8B64841167F2BEC465C0163"),
            ("Password1", "81BA54CCA1C7BCABF8BD21DAF007D0F1"),
        ] {
            assert_eq!(hex("<E/>", password), encrypted);
        }
    }
}
