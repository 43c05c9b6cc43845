//! What became of every invitation, from the events that the program tells.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use msn_handoff::endpoint::socket;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::UnixStream,
    task::JoinHandle,
};

use crate::product::Product;

/// So long an offer that nobody answers, a program that is waited for and a contact who says nothing may
/// keep an invitation open by itself: the configuration's timers, and some.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// So long one whose addresses are known may wait for the other side's program: 180 s, and some.
const START: Duration = Duration::from_secs(200);
/// The start of a program may be told so long after the end of its invitation, if both came at once.
const GRACE: Duration = Duration::from_millis(200);

#[derive(Default)]
struct Seen {
    /// What is not over, with its application.
    open: BTreeMap<String, String>,
    /// When what is over ended.
    over: HashMap<String, Instant>,
    /// Programs that were started and not told to have ended: invitation and name, how often.
    programs: BTreeMap<(String, String), i64>,
    /// How many ended, by application and reason.
    ended: BTreeMap<(String, String), usize>,
    /// Of which applications programs were started, how many.
    started: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

pub(crate) struct Ledger {
    seen: Arc<Mutex<Seen>>,
    reader: JoinHandle<()>,
}

/// What people do at the end of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// They end what waits for a program of the other side.
    Little,
    /// They wait until it ends by itself.
    Much,
}

impl Ledger {
    /// Hears all events from now on.
    pub(crate) async fn follow(product: &Product) -> Self {
        let mut stream = socket::unix_connect(&product.control()).await.unwrap();
        stream.write_all(b"{\"verb\":\"events\"}\n").await.unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let noting = Arc::clone(&seen);
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let line: Value = serde_json::from_str(&line).unwrap();
                let mut seen = noting.lock().unwrap();
                match line.get("event") {
                    Some(event) => seen.note(event),
                    None if line.get("missed").is_some() => seen.wrong.push(line.to_string()),
                    None => {}
                }
            }
        });
        Self { seen, reader }
    }

    /// Ends by hand what runs, as people would in the end, and waits until all is over. What does not
    /// run must end by itself, and every program that was started must be told to have ended.
    pub(crate) async fn rest(&mut self, product: &Product, patience: Patience) {
        let stream = socket::unix_connect(&product.control()).await.unwrap();
        let mut control = Control(BufReader::new(stream).lines());
        let began = Instant::now();
        let within = match patience {
            Patience::Little => HANDSHAKE * 2,
            Patience::Much => START + HANDSHAKE,
        };
        loop {
            self.check();
            let listed = control.list().await;
            let waited = began.elapsed();
            for (id, state) in &listed {
                let late = match state.as_str() {
                    "running" => false,
                    "offered" | "preparing" | "accepted" => waited > HANDSHAKE,
                    _ => waited > START,
                };
                assert!(!late, "never ended by itself: {id}, {state}: {listed:?}");
                let waits = matches!(
                    state.as_str(),
                    "connected" | "awaiting context" | "preparing context"
                );
                if state == "running" || waits && patience == Patience::Little {
                    control.hang_up(id).await;
                }
            }
            let (open, programs) = {
                let mut seen = self.seen.lock().unwrap();
                seen.over.retain(|_, at| at.elapsed() < 2 * START);
                (seen.open.clone(), seen.programs.clone())
            };
            if listed.is_empty() && open.is_empty() && programs.is_empty() {
                return;
            }
            assert!(
                waited < within,
                "never over: {listed:?}\nnot told to have ended: {open:?}\n\
                 programs not told to have ended: {programs:?}\n\
                 its children: {:?}",
                product.children()
            );
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Nothing was wrong so far, and events still come.
    fn check(&self) {
        assert!(!self.reader.is_finished(), "no more events come");
        let seen = self.seen.lock().unwrap();
        assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().ended.values().sum()
    }

    /// Each of these applications has ended, and of each of those a program was started.
    pub(crate) fn must(&self, applications: &BTreeSet<&str>, with_programs: &[&str]) {
        self.check();
        let seen = self.seen.lock().unwrap();
        // What nobody knows is called after its GUID too.
        let is = |of: &str, id: &str| of == id || id == "unknown" && of.starts_with("unknown-");
        let ended = |id: &str| {
            let mut all = seen.ended.keys().filter_map(|(of, _)| of.split(' ').next());
            all.any(|of| is(of, id))
        };
        let never: Vec<_> = applications.iter().filter(|id| !ended(id)).collect();
        assert!(never.is_empty(), "never ended: {never:?}");
        let started = |id: &&&str| !seen.started.contains_key(**id);
        let never: Vec<_> = with_programs.iter().filter(started).collect();
        assert!(never.is_empty(), "no program was started for {never:?}");
    }

    /// How many ended how, for people.
    pub(crate) fn told(&self) -> String {
        let seen = self.seen.lock().unwrap();
        let mut text = String::from("soak: ended\n");
        for ((application, why), count) in &seen.ended {
            writeln!(text, "{count:6}  {application}: {why}").unwrap();
        }
        text.push_str("soak: programs started\n");
        for (application, count) in &seen.started {
            writeln!(text, "{count:6}  {application}").unwrap();
        }
        text
    }
}

/// The control socket, to ask and to hang up.
struct Control(Lines<BufReader<UnixStream>>);

impl Control {
    async fn says(&mut self, line: &str) {
        let stream = self.0.get_mut();
        stream.write_all(line.as_bytes()).await.unwrap();
    }

    /// What is open, and its state.
    async fn list(&mut self) -> Vec<(String, String)> {
        self.says("{\"id\":\"list\",\"verb\":\"list\"}\n").await;
        loop {
            let line = self.0.next_line().await.unwrap().expect("an answer");
            let line: Value = serde_json::from_str(&line).unwrap();
            // Others are answers to hanging up.
            if line["id"] != "list" {
                continue;
            }
            let text = |it: &Value, key: &str| it[key].as_str().unwrap().to_owned();
            let all = line["ok"]["invitations"].as_array().unwrap().iter();
            return all
                .map(|it| (text(it, "invitation"), text(it, "state")))
                .collect();
        }
    }

    async fn hang_up(&mut self, id: &str) {
        self.says(&format!(
            "{{\"verb\":\"hangup\",\"invitation\":\"{id}\"}}\n"
        ))
        .await;
    }
}

impl Seen {
    fn note(&mut self, event: &Value) {
        let text = |key: &str| {
            event
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (id, application) = (text("invitation"), text("application"));
        let shown = format!("{application} ({})", text("role"));
        match text("kind").as_str() {
            "offered" => {
                let before = self.open.insert(id.clone(), shown);
                let twice = before.map(|_| format!("{id} was offered twice"));
                self.wrong.extend(twice);
            }
            "ended" => {
                let why = text("text");
                if self.open.remove(&id).is_none() {
                    self.wrong
                        .push(format!("{id} ended twice, or was never offered: {event}"));
                }
                if why.is_empty() {
                    self.wrong.push(format!("{id} ended without a reason"));
                }
                self.over.insert(id, Instant::now());
                // One line for reasons that differ in a number only, or in a file's name.
                let why = why.split(" in /").next().unwrap_or_default();
                let why = why.replace(|c: char| c.is_ascii_digit(), "0");
                *self.ended.entry((shown, why)).or_insert(0) += 1;
            }
            "program-started" => {
                let over = self.over.get(&id).map(Instant::elapsed);
                // The contact's client ends such an invitation as soon as it has sent its ticket; the
                // program that helps is started all the same.
                let late = over.is_some_and(|since| since > GRACE)
                    && !application.starts_with("remote-assistance");
                if late || over.is_none() && !self.open.contains_key(&id) {
                    self.wrong.push(format!(
                        "a program was started for {id}, over since {over:?}: {event}"
                    ));
                }
                *self.started.entry(application).or_insert(0) += 1;
                self.counts(id, text("program"), 1);
            }
            "program-ended" => self.counts(id, text("program"), -1),
            _ => {}
        }
    }

    fn counts(&mut self, id: String, program: String, by: i64) {
        let key = (id, program);
        let count = self.programs.entry(key.clone()).or_insert(0);
        *count += by;
        if *count == 0 {
            self.programs.remove(&key);
        }
    }
}
