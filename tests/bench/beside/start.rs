//! What it takes to be there: from the start of the process until it listens, its memory then, and the
//! size of what is installed.

use std::{
    fs,
    net::{TcpStream, UdpSocket},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::measure::{Process, free_port, head, loopback, micros, percentile, row};

const ROUNDS: usize = 30;

pub(crate) fn rows() {
    head(
        "Being there",
        &[
            "program",
            "listening after ms, p50",
            "p95",
            "resident kB",
            "file kB",
        ],
    );
    let ours = env!("CARGO_BIN_EXE_msn-handoff");
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    line("msn-handoff proxy", ours, taken_by_tcp, |port| {
        let mut command = Command::new(ours);
        command
            .args(["proxy", "--listen", &loopback(port).to_string()])
            .args(["--server", "127.0.0.1:9"])
            .env("HOME", home)
            .env("XDG_RUNTIME_DIR", home)
            .env_remove("DBUS_SESSION_BUS_ADDRESS");
        command
    });
    let socat = "/usr/bin/socat";
    line("socat", socat, taken_by_tcp, |port| {
        let mut command = Command::new(socat);
        command
            .arg(format!("TCP4-LISTEN:{port},bind=127.0.0.1,fork"))
            .arg("TCP4:127.0.0.1:9");
        command
    });
    let baresip = "/usr/bin/baresip";
    if !Path::new(baresip).exists() {
        return println!("| baresip is not installed | | | | |");
    }
    line("baresip", baresip, taken_by_udp, |port| {
        let text = format!(
            "sip_listen 127.0.0.1:{port}\nmodule_path /usr/lib/baresip/modules\nmodule g711.so\n"
        );
        fs::write(home.join("config"), text).unwrap();
        fs::write(home.join("accounts"), "<sip:a@127.0.0.1>;regint=0\n").unwrap();
        fs::write(home.join("contacts"), "").unwrap();
        let mut command = Command::new(baresip);
        command.arg("-f").arg(home).env("HOME", home);
        command
    });
}

fn taken_by_tcp(port: u16) -> bool {
    TcpStream::connect(loopback(port)).is_ok()
}

fn taken_by_udp(port: u16) -> bool {
    UdpSocket::bind(loopback(port)).is_err()
}

fn line(name: &str, file: &str, there: fn(u16) -> bool, command: impl Fn(u16) -> Command) {
    let mut times = Vec::new();
    let mut memory = 0.0;
    for _ in 0..ROUNDS {
        let port = free_port();
        let mut command = command(port);
        let began = Instant::now();
        let process = Process::start(&mut command);
        while !there(port) {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "it never listens"
            );
            // Whoever asks without a pause takes the processor from who is asked.
            thread::sleep(Duration::from_micros(100));
        }
        times.push(micros(began.elapsed()) / 1e3);
        // What it does after it listens counts as well.
        thread::sleep(Duration::from_millis(50));
        memory = process.resident();
    }
    let size = fs::metadata(file).unwrap().len() / 1024;
    row(&[
        name.into(),
        format!("{:.1}", percentile(&mut times, 50)),
        format!("{:.1}", percentile(&mut times, 95)),
        format!("{memory:.0}"),
        size.to_string(),
    ]);
}
