//! What may stand between a client and its server: we, and what forwards TCP without knowing what it is.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    process::Command,
};

use tempfile::TempDir;

use super::{
    measure::{Process, descriptors, free_port, loopback},
    server,
};

pub(crate) const OURS: &str = "msn-handoff";

/// One of them, before the server.
pub(crate) struct Proxy {
    pub(crate) name: &'static str,
    pub(crate) door: SocketAddr,
    /// None when nothing is between.
    pub(crate) process: Option<Process>,
    _signed_in: Option<TcpStream>,
    _folder: TempDir,
}

impl Proxy {
    fn new(name: &'static str, command: impl FnOnce(u16, &TempDir) -> Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let door = loopback(port);
        let mut process = Process::start(&mut command(port, &folder));
        process.listens(door);
        Self {
            name,
            door,
            process: Some(process),
            _signed_in: None,
            _folder: folder,
        }
    }

    /// Nothing.
    pub(crate) fn none(server: SocketAddr) -> Self {
        Self {
            name: "none",
            door: server,
            process: None,
            _signed_in: None,
            _folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Our binary; somebody has signed in, so that conversations are known as such.
    pub(crate) fn ours(server: SocketAddr) -> Self {
        let mut proxy = Self::new(OURS, |port, folder| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_msn-handoff"));
            command
                .args(["proxy", "--listen", &loopback(port).to_string()])
                .args(["--server", &server.to_string()])
                .env("HOME", folder.path())
                .env("XDG_RUNTIME_DIR", folder.path())
                .env_remove("DBUS_SESSION_BUS_ADDRESS");
            command
        });
        proxy._signed_in = Some(server::sign_in(proxy.door));
        proxy
    }

    pub(crate) fn haproxy(server: SocketAddr) -> Self {
        Self::new("haproxy", |port, folder| {
            let file = folder.path().join("haproxy.cfg");
            // It refuses to start when it could not hold them all.
            let most = (descriptors() - 100) / 2;
            let text = format!(
                "global\n maxconn {most}\ndefaults\n mode tcp\n timeout connect 5s\n timeout client 1h\n \
                 timeout server 1h\nlisten msnp\n bind 127.0.0.1:{port}\n server msnp {server}\n"
            );
            fs::write(&file, text).unwrap();
            let mut command = Command::new("/usr/sbin/haproxy");
            command.args(["-db", "-f"]).arg(file);
            command
        })
    }

    pub(crate) fn nginx(server: SocketAddr) -> Self {
        Self::new("nginx", |port, folder| {
            let at = folder.path();
            let text = format!(
                "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\ndaemon off;\n\
                 user {};\nworker_processes 1;\nworker_rlimit_nofile 65536;\npid {}/pid;\nerror_log {}/log;\n\
                 events {{ worker_connections 60000; }}\nstream {{ server {{ \
                 listen 127.0.0.1:{port}; proxy_pass {server}; proxy_timeout 1h; tcp_nodelay on; }} }}\n",
                std::env::var("USER").unwrap_or_else(|_| "root".into()),
                at.display(),
                at.display(),
            );
            let file = at.join("nginx.conf");
            fs::write(&file, text).unwrap();
            let mut command = Command::new("/usr/sbin/nginx");
            command.arg("-p").arg(at).arg("-c").arg(file);
            command
        })
    }

    /// A process for each connection.
    pub(crate) fn socat(server: SocketAddr) -> Self {
        Self::new("socat", |port, _| {
            let mut command = Command::new("/usr/bin/socat");
            command
                .arg(format!(
                    "TCP4-LISTEN:{port},bind=127.0.0.1,fork,backlog=512,nodelay"
                ))
                .arg(format!("TCP4:{server},nodelay"));
            command
        })
    }

    pub(crate) fn all(server: SocketAddr) -> Vec<Self> {
        vec![
            Self::none(server),
            Self::ours(server),
            Self::haproxy(server),
            Self::nginx(server),
            Self::socat(server),
        ]
    }
}
