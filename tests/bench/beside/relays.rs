//! What may stand between two ends of a media stream: our relay, a loop that anybody would write, and
//! programs made for it. Each is a process of its own.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    process::{Child, Command, Stdio},
    time::Duration,
};

use msn_handoff::media::relay::Relay;

use super::measure::{Process, free_port, loopback};

/// First argument of this program when it is a relay.
pub(crate) const MODE: &str = "be-a-relay";
const OURS: &str = "ours";
const LOOP: &str = "loop";

/// One of them, for one stream.
pub(crate) struct Through {
    pub(crate) name: &'static str,
    /// Where the sender of each call sends.
    pub(crate) doors: Vec<SocketAddr>,
    pub(crate) process: Option<Process>,
    _signalling: Option<UdpSocket>,
}

/// A sender's address and its receiver's.
pub(crate) type Ends = (SocketAddr, SocketAddr);

pub(crate) fn none(ends: &[Ends]) -> Through {
    Through {
        name: "none",
        doors: ends.iter().map(|(_, to)| *to).collect(),
        process: None,
        _signalling: None,
    }
}

pub(crate) fn ours(ends: &[Ends]) -> Through {
    ourselves("msn-handoff", OURS, ends)
}

/// A thread that waits, takes and sends.
pub(crate) fn plain_loop(ends: &[Ends]) -> Through {
    ourselves("thread loop", LOOP, ends)
}

fn ourselves(name: &'static str, kind: &str, ends: &[Ends]) -> Through {
    let ends = ends
        .iter()
        .flat_map(|(from, to)| [from.to_string(), to.to_string()]);
    let mut child: Child = Command::new(std::env::current_exe().unwrap())
        .args([MODE, kind])
        .args(ends)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    Through {
        name,
        doors: line
            .split_whitespace()
            .map(|door| door.parse().unwrap())
            .collect(),
        process: Some(Process::of(child)),
        _signalling: None,
    }
}

/// Is one of the two until its input ends.
pub(crate) fn run(arguments: &[String]) {
    let [kind, ends @ ..] = arguments else {
        panic!("which relay?");
    };
    let ends: Vec<SocketAddr> = ends.iter().map(|end| end.parse().unwrap()).collect();
    let ends = ends.chunks_exact(2).map(|pair| (pair[0], pair[1]));
    if kind == LOOP {
        let doors = ends.map(|(_, to)| {
            let socket = UdpSocket::bind(loopback(0)).unwrap();
            let door = socket.local_addr().unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 2048];
                loop {
                    let (length, _) = socket.recv_from(&mut buffer).unwrap();
                    let _ = socket.send_to(&buffer[..length], to);
                }
            });
            door.to_string()
        });
        println!("{}", doors.collect::<Vec<_>>().join(" "));
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        return;
    }
    // As the binary has it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (mut relays, mut doors) = (Vec::new(), Vec::new());
        for (from, to) in ends {
            let relay = Relay::open(Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST)
                .await
                .unwrap();
            // The port beside an end's may be one of the relay's own.
            relay.connect_peer(from, Some(from)).unwrap();
            relay.connect_agent(to, Some(to)).unwrap();
            // Where it breaks, not where it says so.
            relay.limit(u32::MAX);
            doors.push(loopback(relay.peer_port()).to_string());
            relays.push(relay);
        }
        println!("{}", doors.join(" "));
        let over = || std::io::stdin().read_to_end(&mut Vec::new());
        tokio::task::spawn_blocking(over).await.unwrap().unwrap();
    });
}

/// A process for each stream; it stays with the first sender.
pub(crate) fn socat(ends: &[Ends]) -> Through {
    let [(_, to)] = ends else {
        panic!("one stream");
    };
    let port = free_port();
    let process = Process::start(
        Command::new("/usr/bin/socat")
            .arg("-b2048")
            .arg(format!("UDP4-LISTEN:{port},bind=127.0.0.1"))
            .arg(format!("UDP4:{to}")),
    );
    while UdpSocket::bind(loopback(port)).is_ok() {
        std::thread::sleep(Duration::from_millis(1));
    }
    Through {
        name: "socat",
        doors: vec![loopback(port)],
        process: Some(process),
        _signalling: None,
    }
}

/// In user space, told of the call as a SIP proxy tells it (its ng protocol: bencode over UDP).
pub(crate) fn rtpengine(ends: &[Ends]) -> Through {
    let control = free_port();
    let process = Process::start(
        Command::new("/usr/bin/rtpengine")
            .args([
                "--foreground",
                "--log-stderr",
                "--table=-1",
                "--no-fallback",
            ])
            .args([
                "--interface=127.0.0.1",
                "--port-min=31000",
                "--port-max=33000",
            ])
            .arg(format!("--listen-ng=127.0.0.1:{control}")),
    );
    let socket = UdpSocket::bind(loopback(0)).unwrap();
    socket.connect(loopback(control)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let ask = |cookie: usize, command: &str| {
        let mut buffer = vec![0; 16_384];
        for _ in 0..50 {
            // Its start takes a moment; the same cookie is answered the same.
            let _ = socket.send(format!("{cookie} {command}").as_bytes());
            if let Ok(length) = socket.recv(&mut buffer) {
                return String::from_utf8_lossy(&buffer[..length]).into_owned();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("rtpengine does not answer");
    };
    let mut doors = Vec::new();
    for (call, (from, to)) in ends.iter().enumerate() {
        let id = format!("call{call}");
        let offer = [
            ("call-id", id.as_str()),
            ("command", "offer"),
            ("from-tag", "a"),
            ("sdp", &described(*from)),
        ];
        ask(2 * call, &bencode(&offer));
        let answer = [
            ("call-id", id.as_str()),
            ("command", "answer"),
            ("from-tag", "a"),
            ("sdp", &described(*to)),
            ("to-tag", "b"),
        ];
        let answered = ask(2 * call + 1, &bencode(&answer));
        let port = answered
            .split("m=audio ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next())
            .and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("rtpengine answers {answered}"));
        doors.push(loopback(port));
    }
    Through {
        name: "rtpengine",
        doors,
        process: Some(process),
        _signalling: Some(socket),
    }
}

fn described(at: SocketAddr) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio {1} RTP/AVP 0\r\n",
        at.ip(),
        at.port()
    )
}

fn bencode(pairs: &[(&str, &str)]) -> String {
    let text = |text: &str| format!("{}:{text}", text.len());
    let pairs = pairs.iter().map(|(name, value)| text(name) + &text(value));
    format!("d{}e", pairs.collect::<String>())
}
