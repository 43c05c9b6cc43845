//! Text that others wrote, made fit to be shown: in a chat window, a log, a terminal.
//!
//! Nicknames, handles and what a program prints are chosen by others. Control characters could
//! drive a terminal or forge a second line, and the marks that turn the direction of writing could
//! make a line read as another one (ANCHORS.md E.2, E.3 row 16).

/// The text on one line, without control and direction characters, white space folded, and cut
/// at `max` characters with an ellipsis.
#[must_use]
pub fn line(text: &str, max: usize) -> String {
    let mut shown = String::new();
    let mut count = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        let mut letters = word.chars().filter(|c| !is_invisible(*c)).peekable();
        if letters.peek().is_none() {
            continue;
        }
        let blank = (!shown.is_empty()).then_some(' ');
        for letter in blank.into_iter().chain(letters) {
            if count == max {
                shown.pop();
                shown.push('…');
                return shown;
            }
            shown.push(letter);
            count += 1;
        }
    }
    shown
}

/// Whether it is one word that can be shown as it is: no white space, and nothing that [`line()`] takes
/// out. What stands for somebody must be it, because cleaned it would stand for somebody else.
#[must_use]
pub fn is_word(text: &str) -> bool {
    let misleads = |c: char| c.is_whitespace() || c.is_control() || is_invisible(c);
    !text.is_empty() && !text.contains(misleads)
}

/// Whether it is one line that can be shown as it is, and not a blank one.
#[must_use]
pub fn is_line(text: &str) -> bool {
    // Separators of lines and paragraphs.
    let breaks = |c: char| matches!(c, '\u{2028}' | '\u{2029}');
    let misleads = |c: char| c.is_control() || breaks(c) || is_invisible(c);
    !text.trim().is_empty() && !text.contains(misleads)
}

/// Characters that show nothing and change how their neighbours are read: marks of direction
/// (UAX #9), zero-width characters, tags, the byte order mark.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_could_mislead_is_taken_out() {
        for (text, shown) in [
            ("Bob", "Bob"),
            ("  Bob \t the\r\nbuilder ", "Bob the builder"),
            ("\u{1b}[31mred\u{7}", "[31mred"),
            ("evil\u{202e}gpj.exe", "evilgpj.exe"),
            ("a\u{200b}b\u{feff}c", "abc"),
            ("a \u{200f} b", "a b"),
            ("two\u{2028}lines\u{85}three", "two lines three"),
            ("żółć 你好 שלום", "żółć 你好 שלום"),
            ("", ""),
        ] {
            assert_eq!(line(text, 40), shown, "{text:?}");
        }
    }

    #[test]
    fn a_word_is_shown_as_it_is_or_is_none() {
        for (text, is) in [
            ("ann@example.com", true),
            ("żółć@example.com", true),
            ("", false),
            ("a b", false),
            ("a\u{a0}b", false),
            ("a\u{2028}b", false),
            ("a\0", false),
            ("\u{1b}[2J", false),
            ("a\u{85}b", false),
            ("\u{9b}2J", false),
            ("\u{202e}gpj.exe", false),
            ("a\u{200b}b", false),
            ("a\u{feff}", false),
            ("\u{e0041}", false),
        ] {
            assert_eq!(is_word(text), is, "{text:?}");
            assert!(!is || line(text, 40) == text, "{text:?}");
        }
    }

    #[test]
    fn a_line_is_one_line_and_says_something() {
        for (text, is) in [
            ("a voice call", true),
            ("żółć 你好 שלום", true),
            ("", false),
            (" \u{a0}", false),
            ("a\nb", false),
            ("a\tb", false),
            ("a\u{2028}b", false),
            ("a\u{1b}[2J", false),
            ("a\u{9b}2J", false),
            ("a \u{202e}b", false),
        ] {
            assert_eq!(is_line(text), is, "{text:?}");
        }
    }

    #[test]
    fn long_text_is_cut_with_an_ellipsis() {
        assert_eq!(line("123456", 6), "123456");
        assert_eq!(line("1234567", 6), "12345…");
        assert_eq!(line("x", 0), "…");
    }

    proptest! {
        #[test]
        fn the_result_is_one_short_line_whatever_came(text in ".{0,200}", max in 1_usize..50) {
            let shown = line(&text, max);
            prop_assert!(shown.chars().count() <= max);
            prop_assert!(!shown.chars().any(|c| c.is_control() || is_invisible(c)));
        }
    }
}
