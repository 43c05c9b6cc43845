//! tshark as the judge of what was recorded.

use std::path::Path;

/// Makes tshark look at every checksum.
const CHECK: [&str; 6] = [
    "-o",
    "ip.check_checksum:TRUE",
    "-o",
    "tcp.check_checksum:TRUE",
    "-o",
    "udp.check_checksum:TRUE",
];

/// What tshark prints, on the standard output.
#[allow(clippy::disallowed_methods, reason = "the tests' owner of processes")]
pub(crate) fn tshark(pcap: &Path, arguments: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    let output = std::process::Command::new("tshark")
        .arg("-r")
        .arg(pcap)
        .args(arguments)
        .env("HOME", home.path())
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// A field of every packet that the filter admits, line by line.
pub(crate) fn fields(pcap: &Path, decode: &str, filter: &str, field: &str) -> Vec<String> {
    let mut arguments = vec!["-Y", filter, "-T", "fields", "-e", field];
    if !decode.is_empty() {
        arguments.extend(["-d", decode]);
    }
    let text = tshark(pcap, &arguments);
    text.lines().map(str::to_owned).collect()
}

/// Asserts that tshark finds nothing wrong with any packet: lengths, checksums, sequence numbers.
pub(crate) fn is_sound(pcap: &Path) {
    let wrong = "ip.checksum.status==0 || tcp.checksum.status==0 || udp.checksum.status==0 \
                 || tcp.analysis.flags || _ws.malformed || _ws.short";
    let arguments = [&CHECK[..], &["-Y", wrong]].concat();
    let told = tshark(pcap, &arguments);
    assert_eq!(told, "");
    // They were checked: there are good ones.
    let right = "ip.checksum.status==1 && (tcp.checksum.status==1 || udp.checksum.status==1)";
    let arguments = [&CHECK[..], &["-Y", right]].concat();
    let all = tshark(pcap, &[]).lines().count();
    assert_eq!(tshark(pcap, &arguments).lines().count(), all);
}

/// The bytes of a TCP stream, in hexadecimal, as tshark puts them together.
pub(crate) fn stream(pcap: &Path, number: usize) -> String {
    let follow = format!("follow,tcp,raw,{number}");
    let text = tshark(pcap, &["-q", "-z", &follow]);
    let lines = text.lines().skip_while(|line| !line.starts_with("Node 1"));
    // What the other side sent, which is nothing, would be indented.
    let bytes = lines.skip(1).take_while(|line| !line.starts_with('='));
    bytes.collect()
}

/// In hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
