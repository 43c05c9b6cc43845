//! What was written, read back with etherparse's reader.

use etherparse::{SlicedPacket, TransportSlice};

use super::*;

const FROM: SocketAddrV4 = SocketAddrV4::new(std::net::Ipv4Addr::new(192, 0, 2, 1), 40_000);
const TO: SocketAddrV4 = SocketAddrV4::new(std::net::Ipv4Addr::new(192, 0, 2, 2), 1503);

/// The packets of a file, as another reader would find them.
fn packets(path: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).unwrap();
    let mut rest = &bytes[24..];
    let mut packets = Vec::new();
    while let [_, _, _, _, _, _, _, _, a, b, c, d, more @ ..] = rest {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        packets.push(more[4..4 + length].to_vec());
        rest = &more[4 + length..];
    }
    packets
}

#[test]
fn a_connection_is_whole_and_its_checksums_hold() {
    let folder = tempfile::tempdir().unwrap();
    let mut pcap = Pcap::create(&folder.path().join("x.pcap")).unwrap();
    let sent: Vec<u8> = (0..5000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let mut stream = pcap.open(Duration::ZERO, FROM, TO).unwrap();
    for piece in sent.chunks(3001) {
        pcap.data(Duration::ZERO, &mut stream, piece).unwrap();
    }
    pcap.close(Duration::ZERO, stream, true).unwrap();
    let length = pcap.len();
    let path = pcap.finish().unwrap().unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), length);

    let mut got = Vec::new();
    // What each side is to send next.
    let mut next = [0_u32; 2];
    let mut flags = String::new();
    for packet in packets(&path) {
        let sliced = SlicedPacket::from_ip(&packet).unwrap();
        let ip = sliced.net.as_ref().unwrap().ipv4_ref().unwrap().header();
        assert_eq!(ip.header_checksum(), ip.to_header().calc_header_checksum());
        let Some(TransportSlice::Tcp(tcp)) = sliced.transport else {
            panic!("no TCP")
        };
        let checksum = tcp.calc_checksum_ipv4(ip.source(), ip.destination());
        assert_eq!(Ok(tcp.checksum()), checksum);
        let answer = ip.source() != FROM.ip().octets();
        let mine = usize::from(answer);
        assert_eq!(tcp.sequence_number(), next[mine], "{flags}");
        if tcp.ack() {
            assert_eq!(tcp.acknowledgment_number(), next[1 - mine], "{flags}");
        }
        let length = u32::try_from(tcp.payload().len()).unwrap();
        next[mine] += length + u32::from(tcp.syn()) + u32::from(tcp.fin());
        got.extend_from_slice(tcp.payload());
        flags.push(match (answer, tcp.syn(), tcp.fin(), length) {
            (false, true, ..) => 'S',
            (true, true, ..) => 's',
            (false, _, true, _) => 'F',
            (true, _, true, _) => 'f',
            (false, _, _, 0) => 'A',
            (true, _, _, 0) => 'a',
            (_, _, _, 1..=1460) => '.',
            _ => '?',
        });
    }
    assert!(got == sent);
    assert_eq!(flags, "SsA...a..aFfA");
}

#[test]
fn a_datagram_too_long_for_ip_is_refused_and_the_file_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut pcap = Pcap::create(&folder.path().join("x.pcap")).unwrap();
    let error = pcap
        .udp(Duration::ZERO, FROM, TO, &[0; 65_508])
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(pcap.is_empty());
    pcap.udp(Duration::ZERO, FROM, TO, &[0; 65_507]).unwrap();
    let path = pcap.finish().unwrap().unwrap();
    assert_eq!(packets(&path)[0].len(), 65_535);
}
