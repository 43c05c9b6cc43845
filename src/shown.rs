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
