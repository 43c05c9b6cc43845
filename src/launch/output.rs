//! What a program prints: its last lines kept for the error message, each line watched for the
//! text that shows readiness.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::Notify,
};

use crate::shown;

/// How many lines are kept.
const KEPT_LINES: usize = 20;
/// How long a kept line may be, in characters.
const LINE_LENGTH: usize = 300;

/// The shared end of a program's output.
#[derive(Debug, Clone)]
pub(super) struct Output {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    seen: Notify,
    awaited: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<String>,
    awaited_seen: bool,
}

impl Output {
    /// Watches for a line that contains `awaited`.
    pub(super) fn new(awaited: Option<String>) -> Self {
        let state = Mutex::default();
        Self {
            shared: Arc::new(Shared {
                state,
                seen: Notify::new(),
                awaited: awaited.map(|text| shown::line(&text, LINE_LENGTH)),
            }),
        }
    }

    /// The last lines, for people.
    pub(super) fn tail(&self) -> String {
        let state = self
            .shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        state
            .lines
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Returns when the awaited text has been printed.
    pub(super) async fn awaited(&self) {
        loop {
            let seen = self.shared.seen.notified();
            if self
                .shared
                .state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .awaited_seen
            {
                return;
            }
            seen.await;
        }
    }

    fn line(&self, line: &[u8]) {
        let text = clean(line);
        if text.is_empty() {
            return;
        }
        tracing::debug!(target: "msn_handoff::launch::output", "{text}");
        self.look(&text);
        let mut state = self
            .shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if state.lines.len() == KEPT_LINES {
            state.lines.pop_front();
        }
        state.lines.push_back(text);
    }

    fn look(&self, text: &str) {
        if self
            .shared
            .awaited
            .as_ref()
            .is_some_and(|awaited| text.contains(awaited.as_str()))
        {
            self.shared
                .state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .awaited_seen = true;
            self.shared.seen.notify_waiters();
            self.shared.seen.notify_one();
        }
    }

    /// Reads a stream to its end, line by line; a status line may end in CR. A line without end
    /// is cut, so the memory is bounded.
    pub(super) async fn read(self, mut stream: impl AsyncRead + Unpin) {
        let mut line = Vec::new();
        let mut chunk = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut chunk).await {
            for byte in chunk.iter().take(count) {
                if matches!(byte, b'\n' | b'\r') {
                    self.line(&line);
                    line.clear();
                } else if line.len() < 4 * LINE_LENGTH {
                    line.push(*byte);
                }
            }
            // A prompt has no end of line.
            if !line.is_empty() {
                self.look(&clean(&line));
            }
        }
        self.line(&line);
    }
}

fn clean(line: &[u8]) -> String {
    shown::line(&String::from_utf8_lossy(line), LINE_LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_kept_cleaned_and_bounded() {
        let output = Output::new(Some("ready".into()));
        let mut text = String::from("\x1b[31mred\x07\nstatus 1\rstatus 2\rwe are ready now\n");
        text.push_str(&"x".repeat(10_000));
        output.clone().read(text.as_bytes()).await;
        output.awaited().await;
        let tail = output.tail();
        let lines: Vec<&str> = tail.lines().collect();
        assert_eq!(
            lines[..4],
            ["[31mred", "status 1", "status 2", "we are ready now"]
        );
        assert_eq!(lines[4].chars().count(), LINE_LENGTH);
    }

    #[tokio::test]
    async fn a_prompt_without_an_end_of_line_is_seen() {
        let (mut program, ours) = tokio::io::duplex(64);
        let output = Output::new(Some("phone> ".into()));
        let reader = tokio::spawn(output.clone().read(ours));
        tokio::io::AsyncWriteExt::write_all(&mut program, b"welcome\nphone> ")
            .await
            .unwrap();
        output.awaited().await;
        drop(program);
        reader.await.unwrap();
        assert_eq!(output.tail(), "welcome\nphone>");
    }

    #[tokio::test]
    async fn only_the_last_lines_are_kept() {
        let output = Output::new(None);
        let text: String = (0..100).map(|n| format!("line {n}\n")).collect();
        output.clone().read(text.as_bytes()).await;
        assert_eq!(output.tail().lines().count(), KEPT_LINES);
        assert!(output.tail().ends_with("line 99"));
    }
}
