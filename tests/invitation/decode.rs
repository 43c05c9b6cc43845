//! What `decode` shows, kept as snapshots.

use crate::vector;

fn table(name: &str) -> String {
    msn_handoff::cli::decode::run(&vector(name), false).unwrap()
}

fn json(name: &str) -> String {
    msn_handoff::cli::decode::run(&vector(name), true).unwrap()
}

#[test]
fn an_official_voice_invite_as_a_table_and_as_json() {
    insta::assert_snapshot!("o3_table", table("O3"));
    insta::assert_snapshot!("o3_json", json("O3"));
}

#[test]
fn an_official_voice_accept_as_a_table_and_as_json() {
    insta::assert_snapshot!("o6_table", table("O6"));
    insta::assert_snapshot!("o6_json", json("O6"));
}

#[test]
fn a_whiteboard_context_as_a_table_and_as_json() {
    insta::assert_snapshot!("w4_table", table("W4"));
    insta::assert_snapshot!("w4_json", json("W4"));
}

#[test]
fn every_vector_is_decoded_in_both_forms_and_as_a_command() {
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors")).unwrap() {
        let path = entry.unwrap().path();
        let payload = std::fs::read(&path).unwrap();
        let mut command = format!("MSG 5 N {}\r\n", payload.len()).into_bytes();
        command.extend_from_slice(&payload);
        for input in [&payload, &command] {
            let table = msn_handoff::cli::decode::run(input, false).unwrap();
            assert!(table.starts_with("  Kind "), "{path:?}: {table}");
            let json = msn_handoff::cli::decode::run(input, true).unwrap();
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(json["payload_bytes"], payload.len(), "{path:?}");
        }
    }
}
