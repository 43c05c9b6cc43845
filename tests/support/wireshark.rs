//! Wireshark, as the one who says what bytes are.

use std::path::Path;

use super::child::Child;

/// What Wireshark says of some bytes that went over TCP.
pub(crate) async fn dissected(dir: &Path, to: u16, bytes: &[u8], fields: &[&str]) -> String {
    let hex: String = bytes.iter().map(|byte| format!(" {byte:02x}")).collect();
    std::fs::write(dir.join("bytes.hex"), format!("000000{hex}\n")).unwrap();
    let ports = format!("2300,{to}");
    let arguments = ["-q", "-T", &ports, "bytes.hex", "bytes.pcap"];
    let code = Child::start("text2pcap", arguments, dir).wait().await;
    assert_eq!(code, Some(0));
    let mut arguments = vec!["-r", "bytes.pcap", "-T", "fields", "-E", "separator=|"];
    for field in fields {
        arguments.extend(["-e", field]);
    }
    let mut tshark = Child::start("tshark", arguments, dir);
    assert_eq!(tshark.wait().await, Some(0));
    let said = tshark.output();
    let line = said.lines().rfind(|line| line.contains('|'));
    line.unwrap_or_else(|| panic!("{said}")).to_owned()
}
