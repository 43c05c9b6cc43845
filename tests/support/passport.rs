//! The two steps of a Passport login, as small as HTTP allows: the nexus names the login page in a
//! header, the login page gives a ticket in a header.

use std::net::{Ipv4Addr, SocketAddr};

use msn_handoff::endpoint::socket;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Starts it; the address of the nexus.
pub(crate) async fn nexus() -> String {
    let listener = socket::tcp_listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await
        .unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.windows(4).any(|four| four == b"\r\n\r\n") {
                if stream.read_buf(&mut request).await.unwrap() == 0 {
                    break;
                }
            }
            let header = if request.starts_with(b"GET /rdr/pprdr.asp ") {
                format!("PassportURLs: DALogin=http://{addr}/login.srf")
            } else {
                "Authentication-Info: Passport1.4 da-status=success,from-PP='t=ticket&p=profile'"
                    .to_owned()
            };
            let reply = format!(
                "HTTP/1.1 200 OK\r\n{header}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(reply.as_bytes()).await.unwrap();
        }
    });
    format!("http://{addr}/rdr/pprdr.asp")
}
