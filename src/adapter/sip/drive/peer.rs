//! The peer's side: who may speak, its datagrams and its connections.

use super::*;

impl Driver {
    /// Whether a connection is taken: of the peer, or of one that may turn out to be it.
    pub(super) fn may_connect(&self, from: SocketAddrV4) -> bool {
        let may = self.callers.knows(*from.ip()) || self.callers.may_introduce_itself(*from.ip());
        if !may {
            debug!(invitation = self.task.invitation.0, %from, "a stranger; turned away");
        }
        may
    }

    /// Whether it is the peer that speaks. One that told only private addresses comes from its
    /// router's, and is known by those that it writes into its call.
    pub(super) fn is_peer(&mut self, message: &Message, source: SocketAddrV4) -> bool {
        if self.callers.knows(*source.ip()) {
            return true;
        }
        let named = |host: &Host| matches!(host, Host::V4(ip) if self.callers.knows(*ip));
        let fields = message.fields();
        let introduced = matches!(message, Message::Request(it) if it.method == Method::Invite)
            && (named(&fields.via.host)
                || fields.contact.as_ref().is_some_and(|it| named(it.host())));
        // In mid-call its address may change.
        if introduced && self.callers.may_introduce_itself(*source.ip())
            || self.front.is_of_call(message)
        {
            self.callers.learn(*source.ip());
            self.front.meet(*source.ip());
        }
        self.callers.knows(*source.ip())
    }

    pub(super) async fn datagram(&mut self, bytes: &[u8], from: SocketAddrV4) {
        self.peer_bytes(bytes, Hop::Udp(from), from).await;
    }

    pub(super) async fn peer_bytes(&mut self, bytes: &[u8], hop: Hop, source: SocketAddrV4) {
        match sip::read(bytes) {
            Ok(message) if !self.is_peer(&message, source) => {
                debug!(invitation = self.task.invitation.0, from = %source, "a stranger; ignored");
                self.turn_away(hop, source);
            }
            Ok(message) => {
                trace_message(self.task.invitation.0, "peer", &message);
                self.signalled(Party::Peer, false, &message);
                let input = Input::Peer {
                    message: &message,
                    hop,
                    source,
                };
                self.feed(input).await;
            }
            Err(sip::Error::Refused(refusal)) => {
                debug!(invitation = self.task.invitation.0, %refusal, "refused");
                if self.callers.knows(*source.ip())
                    && let Some(bytes) = refusal.response()
                {
                    self.obey(Output::ToPeer { bytes, hop }).await;
                }
                self.turn_away(hop, source);
            }
            // Its sound has moved there, and its messages follow.
            Err(sip::Error::KeepAlive)
                if hop == Hop::Udp(source) && self.sound.comes_from(*source.ip()) =>
            {
                self.feed(Input::Moved(source)).await;
            }
            Err(error) => {
                debug!(invitation = self.task.invitation.0, %error, "ignored");
                self.turn_away(hop, source);
            }
        }
    }

    /// Closes the connection of one that has spoken and is still not known to be the peer.
    fn turn_away(&mut self, hop: Hop, source: SocketAddrV4) {
        if let Hop::Tcp(id) = hop
            && !self.callers.knows(*source.ip())
        {
            self.streams.remove(&id);
        }
    }

    /// Tells that a message of ours went out.
    pub(super) fn signal(&self, with: Party, bytes: &[u8]) {
        if let Ok(message) = sip::read(bytes) {
            self.signalled(with, true, &message);
        }
    }

    pub(super) fn signalled(&self, with: Party, sent: bool, message: &Message) {
        let text = match message {
            Message::Request(request) => request.method.to_string(),
            Message::Response(response) => {
                shown::line(&format!("{} {}", response.status, response.reason), 30)
            }
        };
        let kind = SignalKind::Sip;
        self.report(Report::Signal(Signal {
            with,
            sent,
            kind,
            text,
        }));
    }

    pub(super) fn connect(&mut self, to: SocketAddrV4) {
        let target = self
            .targets
            .iter()
            .copied()
            .find(|target| target.address() == SocketAddr::V4(to));
        let events = self.stream_events.0.clone();
        self.tasks.spawn(async move {
            let stream = match target {
                Some(target) => socket::tcp_connect_peer(target, CONNECT_WITHIN).await.ok(),
                None => None,
            };
            let made = StreamEvent::Made(stream.map(|stream| (stream, to)));
            let _ = events.send(made).await;
        });
    }

    pub(super) fn take_stream(&mut self, stream: TcpStream, from: SocketAddrV4) {
        // One place is kept for the peer, and who is not known to be it must say something soon.
        let knows = self.callers.knows(*from.ip());
        let places = if knows { MAX_STREAMS } else { MAX_STREAMS - 1 };
        if self.may_connect(from) && self.streams.len() < places {
            self.open_stream(stream, from, (!knows).then_some(INTRODUCED_WITHIN));
        }
    }

    /// Reads and writes a connection in a task of its own, which ends when the other side does, or soon
    /// after its entry has gone. `first_within`: how long its first message may take.
    pub(super) fn open_stream(
        &mut self,
        stream: TcpStream,
        from: SocketAddrV4,
        first_within: Option<Duration>,
    ) -> u64 {
        self.next_stream += 1;
        let id = self.next_stream;
        let (line, outgoing) = mpsc::channel(16);
        self.streams.insert(id, line);
        let events = self.stream_events.0.clone();
        self.tasks
            .spawn(converse(stream, (id, from), first_within, outgoing, events));
        id
    }

    pub(super) async fn stream_event(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Made(Some((stream, to))) => {
                let id = self.open_stream(stream, to, None);
                self.feed(Input::Stream(Some(id))).await;
            }
            StreamEvent::Made(None) => self.feed(Input::Stream(None)).await,
            StreamEvent::Message(id, bytes, from) => {
                self.peer_bytes(&bytes, Hop::Tcp(id), from).await;
            }
            StreamEvent::Closed(id) => {
                self.streams.remove(&id);
                self.feed(Input::StreamClosed(id)).await;
            }
        }
    }
}

/// Reads and writes the connection with that number.
pub(super) async fn converse(
    stream: TcpStream,
    (id, from): (u64, SocketAddrV4),
    mut first_within: Option<Duration>,
    mut outgoing: mpsc::Receiver<Vec<u8>>,
    events: mpsc::Sender<StreamEvent>,
) {
    let (mut read, mut write) = stream.into_split();
    let reading = async {
        let mut frames = sip::frame::Stream::default();
        loop {
            let next = next_message(&mut read, &mut frames);
            let next = match first_within.take() {
                Some(within) => timeout(within, next).await.ok().flatten(),
                None => next.await,
            };
            let Some(bytes) = next else {
                break;
            };
            let event = StreamEvent::Message(id, bytes, from);
            if events.send(event).await.is_err() {
                break;
            }
        }
    };
    let writing = async {
        while let Some(bytes) = outgoing.recv().await {
            // Who does not read would keep the connection for ever.
            let written = timeout(WRITE_WITHIN, write.write_all(&bytes)).await;
            if !matches!(written, Ok(Ok(()))) {
                break;
            }
        }
    };
    tokio::pin!(writing);
    let was_read = tokio::select! {
        () = reading => true,
        () = &mut writing => false,
    };
    // The entry goes with this, if it has not gone.
    let _ = events.send(StreamEvent::Closed(id)).await;
    if was_read {
        // What waits is still said, as far as it is taken.
        let _ = timeout(LAST_WITHIN, writing).await;
    }
}

/// The next whole message of a connection; nothing at its end, or when it is no SIP.
async fn next_message(
    read: &mut OwnedReadHalf,
    frames: &mut sip::frame::Stream,
) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 4096];
    loop {
        if let Some(bytes) = frames.next().ok()? {
            return Some(bytes);
        }
        let n = read.read(&mut buffer).await.ok()?;
        if n == 0 {
            return None;
        }
        frames.push(buffer.get(..n).unwrap_or_default());
    }
}
