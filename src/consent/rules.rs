//! Rules that answer an offer without a question: allow, refuse, or ask (the default).

use std::str::FromStr;

use serde::Deserialize;

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Accepted without a question.
    Allow,
    /// Declined without a question.
    Refuse,
    /// The user is asked.
    #[default]
    Ask,
}

/// Which contacts a rule is for: a handle, or one `*` for any run of characters in it, such as
/// `*@example.com`. Letter case does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern {
    before: String,
    after: Option<String>,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no contact: write a handle such as bob@example.com, with at most one * in it")]
pub struct NotAPattern(String);

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// For these contacts; all without it.
    pub contact: Option<Pattern>,
    /// For the application with this bridge id; all without it.
    pub application: Option<String>,
    /// What it says.
    pub decision: Decision,
}

/// All rules. The first that fits decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// In order.
    pub rules: Vec<Rule>,
    /// When none fits.
    pub default: Decision,
}

impl Rules {
    /// What the rules say of an offer by `contact` for the application with that bridge id.
    #[must_use]
    pub fn decide(&self, contact: &str, application: &str) -> Decision {
        self.rules
            .iter()
            .find(|rule| rule.fits(contact, application))
            .map_or(self.default, |rule| rule.decision)
    }
}

impl Rule {
    fn fits(&self, contact: &str, application: &str) -> bool {
        self.contact
            .as_ref()
            .is_none_or(|pattern| pattern.fits(contact))
            && self.application.as_ref().is_none_or(|id| id == application)
    }
}

impl Pattern {
    /// Whether it is for that contact.
    #[must_use]
    pub fn fits(&self, contact: &str) -> bool {
        let contact = contact.to_ascii_lowercase();
        match &self.after {
            None => contact == self.before,
            Some(after) => contact
                .strip_prefix(self.before.as_str())
                .is_some_and(|rest| rest.ends_with(after.as_str())),
        }
    }
}

impl FromStr for Pattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        let lower = text.trim().to_ascii_lowercase();
        if lower.is_empty() || lower.matches('*').count() > 1 {
            return Err(NotAPattern(text.chars().take(64).collect()));
        }
        Ok(match lower.split_once('*') {
            None => Self {
                before: lower,
                after: None,
            },
            Some((before, after)) => Self {
                before: before.to_owned(),
                after: Some(after.to_owned()),
            },
        })
    }
}

impl TryFrom<String> for Pattern {
    type Error = NotAPattern;

    fn try_from(text: String) -> Result<Self, NotAPattern> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(contact: Option<&str>, application: Option<&str>, decision: Decision) -> Rule {
        Rule {
            contact: contact.map(|text| text.parse().unwrap()),
            application: application.map(str::to_owned),
            decision,
        }
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = Rules {
            rules: vec![
                rule(Some("mallory@example.com"), None, Decision::Refuse),
                rule(Some("*@example.com"), Some("voice"), Decision::Allow),
                rule(None, Some("remote-assistance"), Decision::Refuse),
            ],
            default: Decision::Ask,
        };
        for (contact, application, decision) in [
            ("mallory@example.com", "voice", Decision::Refuse),
            ("MALLORY@Example.Com", "voice", Decision::Refuse),
            ("bob@example.com", "voice", Decision::Allow),
            ("bob@example.com", "webcam", Decision::Ask),
            ("bob@example.com.evil.net", "voice", Decision::Ask),
            ("eve@example.net", "remote-assistance", Decision::Refuse),
        ] {
            assert_eq!(
                rules.decide(contact, application),
                decision,
                "{contact} {application}"
            );
        }
    }

    #[test]
    fn without_rules_the_user_is_asked() {
        assert_eq!(
            Rules::default().decide("bob@example.com", "voice"),
            Decision::Ask
        );
    }

    #[test]
    fn a_star_never_matches_the_same_characters_twice() {
        let pattern: Pattern = "ab*ba".parse().unwrap();
        assert!(pattern.fits("abba"));
        assert!(!pattern.fits("aba"));
    }

    #[test]
    fn two_stars_or_nothing_are_no_pattern() {
        for text in ["", "  ", "*@*", "**"] {
            assert!(text.parse::<Pattern>().is_err(), "{text:?}");
        }
    }
}
