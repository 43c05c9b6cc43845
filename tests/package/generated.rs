//! Completions in the three shells, with the Tab key where the shell wants a terminal; man pages in
//! both programs that show them.

use std::path::{Path, PathBuf};

use crate::{BINARY, run, support::have, terminal::Terminal};

/// Writes the completions for that shell.
async fn completions(folder: &Path, shell: &str) -> PathBuf {
    let made = run(BINARY, &["generate", "completions", shell]).await;
    assert!(made.status.success());
    let place = folder.join(format!("completions.{shell}"));
    std::fs::write(&place, made.stdout).unwrap();
    place
}

/// Types a verb's beginning and the Tab key. The command is a function that says what it was given.
async fn tab_completes(shell: &str, prepare: &str) {
    let mut terminal = Terminal::open(shell);
    // Two words, for what was typed is shown, too.
    terminal.press(&format!("{prepare}; echo rea''dy\n")).await;
    terminal.until("ready").await;
    terminal
        .press("msn-handoff() { printf 'g''ot <%s>' \"$*\"; }; echo rea''dy\n")
        .await;
    terminal.until("ready").await;
    for (typed, got) in [
        ("msn-handoff ac\t\n", "got <accept"),
        (
            "msn-handoff generate completions z\t\n",
            "got <generate completions zsh",
        ),
        ("msn-handoff proxy --ann\t\n", "got <proxy --announce"),
    ] {
        terminal.press(typed).await;
        terminal.until(got).await;
    }
}

#[tokio::test]
async fn bash_completes_with_tab() {
    if !have(&["bash", "script"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = completions(dir.path(), "bash").await;
    let prepare = format!("source {}", file.display());
    tab_completes("bash --norc --noprofile -i", &prepare).await;
}

#[tokio::test]
async fn zsh_completes_with_tab() {
    if !have(&["zsh", "script"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = completions(dir.path(), "zsh").await;
    let prepare = format!(
        "autoload -U compinit; compinit -D; source {}",
        file.display()
    );
    tab_completes("zsh -f -i", &prepare).await;
}

#[tokio::test]
async fn fish_completes() {
    if !have(&["fish"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = completions(dir.path(), "fish").await;
    let script = format!(
        "source {}; complete -C 'msn-handoff ac'; complete -C 'msn-handoff proxy --ann'",
        file.display()
    );
    let said = run("fish", &["--no-config", "-c", &script]).await;
    let said = String::from_utf8(said.stdout).unwrap();
    let words: Vec<&str> = said
        .lines()
        .filter_map(|line| line.split('\t').next())
        .collect();
    assert_eq!(words, ["accept", "--announce"], "{said}");
}

#[tokio::test]
async fn man_pages_are_shown_without_complaint() {
    if !have(&["man", "mandoc"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("man1");
    let made = run(BINARY, &["generate", "man", folder.to_str().unwrap()]).await;
    assert!(made.status.success());
    let pages: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    for verb in ["", "-proxy", "-accept", "-generate-man"] {
        let page = folder.join(format!("msn-handoff{verb}.1"));
        assert!(pages.contains(&page), "{}", page.display());
    }
    for page in &pages {
        let page = page.to_str().unwrap();
        let shown = run(
            "man",
            &["--warnings", "--encoding=UTF-8", "--local-file", page],
        )
        .await;
        let complaints = String::from_utf8(shown.stderr).unwrap();
        assert!(
            shown.status.success() && complaints.is_empty(),
            "{complaints}"
        );
        let checked = run("mandoc", &["-T", "lint", "-W", "error", page]).await;
        let complaints = String::from_utf8(checked.stdout).unwrap();
        assert!(checked.status.success(), "{complaints}");
    }
    let page = folder.join("msn-handoff.1");
    let shown = run("man", &["--local-file", page.to_str().unwrap()]).await;
    let shown = String::from_utf8(shown.stdout).unwrap();
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "NAME",
        "msn-handoff-accept(1)",
        "--config",
        "127.0.0.1, port 1863",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}
