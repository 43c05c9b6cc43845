//! The invitation message against the published vectors (PROTOCOL.md section 13), the leniency table
//! (10.1) and arbitrary input.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "invitation/decode.rs"]
mod decode;
#[path = "invitation/leniency.rs"]
mod leniency;
#[path = "invitation/properties.rs"]
mod properties;
#[path = "invitation/read_vectors.rs"]
mod read_vectors;
#[path = "invitation/write_vectors.rs"]
mod write_vectors;

/// The bytes of a vector by its name.
fn vector(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/vectors/{name}.msg", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A body behind the official MIME header.
fn payload(body: &[u8]) -> Vec<u8> {
    let mut payload =
        b"MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n".to_vec();
    payload.extend_from_slice(body);
    payload
}
