//! A list of ports as a bridge file writes it: `"1503"`, `"28070-28073"`, `"1503, 1720"`.

use std::str::FromStr;

/// Most ports of one list. Each may cost a socket or a question.
const MAX_PORTS: usize = 256;

/// Ports in the order they were written, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ports(Vec<u16>);

/// What a text that should be ports is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} are no ports: write \"1503\", \"28070-28073\" or both with a comma between, at most {MAX_PORTS} in all"
)]
pub struct NoPorts(String);

impl Ports {
    /// The ports.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().copied()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn parse(text: &str) -> Option<Self> {
        let mut ports = Vec::new();
        for part in text.split(',') {
            let part = part.trim();
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first: u16 = first.trim().parse().ok().filter(|port| *port != 0)?;
            let last: u16 = last.trim().parse().ok().filter(|last| *last >= first)?;
            for port in first..=last {
                if !ports.contains(&port) {
                    ports.push(port);
                }
                if ports.len() > MAX_PORTS {
                    return None;
                }
            }
        }
        Some(Self(ports))
    }
}

impl FromStr for Ports {
    type Err = NoPorts;

    fn from_str(text: &str) -> Result<Self, NoPorts> {
        Self::parse(text).ok_or_else(|| NoPorts(text.chars().take(60).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_in_their_order_each_once() {
        for (text, ports) in [
            ("1503", vec![1503]),
            ("28070-28072", vec![28070, 28071, 28072]),
            ("1720, 1503", vec![1720, 1503]),
            (" 5 - 6 ,6-7", vec![5, 6, 7]),
            ("65535", vec![65535]),
        ] {
            assert_eq!(text.parse::<Ports>().unwrap().0, ports, "{text}");
        }
        assert_eq!("1-256".parse::<Ports>().unwrap().0.len(), 256);
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for text in [
            "", ",", "0", "0-5", "5-4", "65536", "1-257", "1-65535", "-1", "a", "1,,2", "1-2-3",
        ] {
            assert!(text.parse::<Ports>().is_err(), "{text}");
        }
    }
}
