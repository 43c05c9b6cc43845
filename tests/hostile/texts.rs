//! The texts: what a contact, a host or a server may call itself or somebody else.

/// The most that fits into an invitation (PROTOCOL.md 1.4).
const LONGEST: usize = 1664;

pub(crate) fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        "-",
        "--",
        "-e",
        "-exec=sh",
        "--help",
        "--config=/tmp/x",
        "-oProxyCommand=sh@example.com",
        "+exec",
        "+set x y",
        "@/etc/passwd",
        "/etc/passwd",
        "../../../etc/passwd",
        "..",
        ".",
        "a/b",
        "a\\b",
        "C:\\windows\\system32",
        "a b",
        " a",
        "a\nb",
        "a\r\nb: c",
        "a\n[section]\nrun=x",
        "a\0b",
        "a\tb",
        "\u{1b}[2J\u{1b}]0;x\u{7}",
        "a;b",
        "a;reboot@example.com",
        "a|b",
        "a&b",
        "$(id)",
        "`id`",
        "${HOME}",
        "$HOME@example.com",
        "%n%s",
        "%USERPROFILE%",
        "a'b",
        "a\"b",
        "'\"",
        "<b>a</b>",
        "{peer.ip}",
        "{{",
        "*",
        "~",
        "~root",
        "a=b",
        "a,b",
        "a:b",
        "http://example.com/",
        "file:///etc/passwd",
        "\u{202e}gpj.exe",
        "a\u{200f}b",
        "\u{2066}a\u{2069}",
        "a\u{2028}b",
        "a\u{85}b",
        "\u{feff}a",
        "a\u{200b}b",
        "\u{e0041}\u{e0042}",
        "\u{2010}\u{2010}help",
        "\u{ff0d}x",
        "żółć@example.com",
        // Admitted, and harmless: they begin nothing and end nothing.
        "x--help",
        "a-e",
        "CON",
        "0",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("x".repeat(LONGEST));
    texts.push("ż".repeat(LONGEST / 2));
    texts.push("\u{202e}".repeat(LONGEST / 3));
    texts.push("-".repeat(LONGEST));
    texts.push("\n".repeat(LONGEST));
    texts
}
