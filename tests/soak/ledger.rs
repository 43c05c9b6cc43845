//! What became of every invitation, from the events that the program tells.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use msn_handoff::endpoint::socket;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::product::Product;

#[derive(Default)]
struct Seen {
    /// What is not over, with its application.
    open: BTreeMap<String, String>,
    /// How many ended, by application and reason.
    ended: BTreeMap<(String, String), usize>,
    wrong: Vec<String>,
}

pub(crate) struct Ledger(Arc<Mutex<Seen>>);

impl Ledger {
    /// Hears all events from now on.
    pub(crate) async fn follow(product: &Product) -> Self {
        let mut stream = socket::unix_connect(&product.control()).await.unwrap();
        stream.write_all(b"{\"verb\":\"events\"}\n").await.unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let noting = Arc::clone(&seen);
        tokio::spawn(async move {
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
        Self(seen)
    }

    /// Ends by hand what people left running, as they would in the end, and waits until all is over.
    pub(crate) async fn rest(&mut self, product: &Product, within: Duration) {
        let mut stream = socket::unix_connect(&product.control()).await.unwrap();
        let began = Instant::now();
        loop {
            let open: Vec<(String, String)> = {
                let seen = self.0.lock().unwrap();
                assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
                seen.open
                    .iter()
                    .map(|(id, what)| (id.clone(), what.clone()))
                    .collect()
            };
            if open.is_empty() {
                return;
            }
            assert!(began.elapsed() < within, "never ended: {open:?}");
            for (id, _) in &open {
                let hangup = format!("{{\"verb\":\"hangup\",\"invitation\":\"{id}\"}}\n");
                stream.write_all(hangup.as_bytes()).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().ended.values().sum()
    }

    /// How many ended how, for people.
    pub(crate) fn told(&self) -> String {
        let mut text = String::from("soak: ended\n");
        for ((application, why), count) in &self.0.lock().unwrap().ended {
            writeln!(text, "{count:6}  {application}: {why}").unwrap();
        }
        text
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
        let (id, application) = (
            text("invitation"),
            format!("{} ({})", text("application"), text("role")),
        );
        match text("kind").as_str() {
            "offered" => {
                let before = self.open.insert(id.clone(), application);
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
                // One line for reasons that differ in a number only.
                let why = why.replace(|c: char| c.is_ascii_digit(), "0");
                *self.ended.entry((application, why)).or_insert(0) += 1;
            }
            "program-started" if !self.open.contains_key(&id) => {
                self.wrong.push(format!(
                    "a program was started for {id}, which is over: {event}"
                ));
            }
            _ => {}
        }
    }
}
