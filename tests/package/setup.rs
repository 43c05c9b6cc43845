//! `msn-handoff setup` on the files of clients, read again by programs that others wrote.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use msn_handoff::setup::{Client, running};

use crate::{
    BINARY, run,
    support::{child::Child, have, until, within},
    terminal::Terminal,
};

const ACCOUNTS: &str = "<?xml version='1.0' encoding='UTF-8' ?>

<account version='1.0'>
\t<account>
\t\t<protocol>prpl-msn-pecan</protocol>
\t\t<name>me@example.com/</name>
\t\t<password>a &amp; b</password>
\t\t<settings>
\t\t\t<setting name='server' type='string'>msnmsgr.example.net</setting>
\t\t</settings>
\t</account>
</account>
";

/// Runs the verb with that home: whether it ended well, and all it said.
async fn setup(home: &Path, args: &[&str]) -> (bool, String) {
    let home = format!("HOME={}", home.display());
    let prefix = [
        "-u",
        "WINEPREFIX",
        "-u",
        "XDG_CONFIG_HOME",
        &home,
        BINARY,
        "setup",
    ];
    let done = run("env", &[&prefix, args].concat()).await;
    let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
    (done.status.success(), said)
}

#[tokio::test]
async fn pidgin_is_changed_after_a_yes_and_never_while_it_runs() {
    if !have(&["xmllint", "script"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let file = home.join(".purple/accounts.xml");
    if let Some(program) = running(Client::Pidgin, &file) {
        eprintln!("SKIPPED: {program} is running on this machine");
        return;
    }
    fs::create_dir(home.join(".purple")).unwrap();
    fs::write(&file, ACCOUNTS).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let now = || fs::read_to_string(&file).unwrap();

    // Shown, and nothing else: nobody is there to ask.
    let (good, said) = setup(home, &["pidgin"]).await;
    let change = "me@example.com: server = 127.0.0.1 (instead of msnmsgr.example.net)";
    assert!(good && said.contains(change), "{said}");
    assert!(said.contains("Nothing is written"), "{said}");
    assert_eq!(now(), ACCOUNTS);

    // It runs: a program of that name, at least.
    let sleep = which::which("sleep").unwrap();
    symlink(sleep, home.join("pidgin")).unwrap();
    let pidgin = home.join("pidgin");
    let child = Child::start(pidgin.to_str().unwrap(), ["600"], home);
    let (good, said) = setup(home, &["pidgin", "--yes"]).await;
    assert!(!good && said.contains("pidgin is running"), "{said}");
    assert_eq!(now(), ACCOUNTS);
    drop(child);
    until("its end", || {
        running(Client::Pidgin, &file).is_none().then_some(())
    })
    .await;

    // Asked at a terminal.
    let command = format!("env HOME={} {BINARY} setup pidgin", home.display());
    for (answer, said) in [("no", "Nothing is written."), ("yes", "as it was: ")] {
        assert_eq!(now(), ACCOUNTS);
        let mut terminal = Terminal::open(&command);
        terminal.until("Type yes: ").await;
        terminal.press(&format!("{answer}\n")).await;
        terminal.until(said).await;
    }
    for (key, value) in [("server", "127.0.0.1"), ("port", "1863")] {
        let path = format!("string(/account/account/settings/setting[@name='{key}'])");
        let read = run("xmllint", &["--xpath", &path, file.to_str().unwrap()]).await;
        assert_eq!(String::from_utf8_lossy(&read.stdout).trim(), value);
    }
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let kept = home.join(".purple/accounts.xml.before-msn-handoff-1");
    assert_eq!(fs::read_to_string(&kept).unwrap(), ACCOUNTS);
    assert_eq!(
        fs::metadata(&kept).unwrap().permissions().mode() & 0o777,
        0o600
    );

    let (good, said) = setup(home, &["pidgin", "--yes"]).await;
    assert!(good && said.contains("is as it should be"), "{said}");
    assert_eq!(fs::read_dir(home.join(".purple")).unwrap().count(), 2);
}

#[tokio::test]
async fn what_cannot_be_used_is_told_and_the_others_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let profile = home.join(".amsn/me_example_com");
    fs::create_dir_all(&profile).unwrap();
    let file = profile.join("config.xml");
    fs::write(&file, "<config><entry>").unwrap();
    let (good, said) = setup(home, &["--yes"]).await;
    assert!(!good && said.contains("CANNOT BE USED"), "{said}");
    assert!(said.contains("no settings found here; by hand:"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "<config><entry>");
    assert_eq!(fs::read_dir(&profile).unwrap().count(), 1);
}

#[tokio::test]
async fn wine_reads_the_server_that_was_written() {
    if !have(&["wine", "wineserver"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    fs::create_dir(home.join("other")).unwrap();
    fs::write(home.join("other/user.reg"), "").unwrap();
    let variables = [
        format!("HOME={}", home.display()),
        "WINEDEBUG=-all".to_owned(),
        "WINEDLLOVERRIDES=mscoree,mshtml=".to_owned(),
    ];
    let wine = async |args: &[&str]| {
        let mut all = vec!["-u", "WINEPREFIX", "-u", "DISPLAY"];
        all.extend(variables.iter().map(String::as_str));
        let all = [&all, args].concat();
        let done = within("Wine", run("env", &all)).await;
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    let old = "HKCU\\Software\\Microsoft\\MessengerService";
    let new = "HKCU\\Software\\Microsoft\\MSNMessenger";
    for key in [old, new] {
        let value = "207.46.104.20:1863";
        wine(&["wine", "reg", "add", key, "/v", "Server", "/d", value]).await;
    }
    wine(&["wineserver", "-w"]).await;
    let file = home.join(".wine/user.reg");
    // Something runs in the prefix, so Wine would write over the file.
    let settings = [
        ("WINEDEBUG", "-all"),
        ("WINEDLLOVERRIDES", "mscoree,mshtml="),
    ];
    let mut prompt = Child::start_with("wine", ["cmd"], home, &settings);
    prompt.printed("Microsoft Windows").await;
    assert!(running(Client::Messenger, &file).is_some());
    // Of another prefix that says nothing.
    assert_eq!(
        running(Client::Messenger, &home.join("other/user.reg")),
        None
    );
    let (good, said) = setup(home, &["messenger", "--yes"]).await;
    assert!(
        !good && said.contains("wineserver") && said.contains("is running"),
        "{said}"
    );
    drop(prompt);
    until("its end", || {
        running(Client::Messenger, &file).is_none().then_some(())
    })
    .await;
    // It wrote its own view of the registry, and not ours.
    assert!(!fs::read_to_string(&file).unwrap().contains("127.0.0.1"));

    let (good, said) = setup(home, &["messenger", "--yes"]).await;
    assert!(
        good && said.contains("(instead of 207.46.104.20:1863)"),
        "{said}"
    );
    let both = format!("reg query {old} /v Server & reg query {new} /v Server");
    let read = wine(&["wine", "cmd", "/c", &both]).await;
    let words: Vec<&str> = read.split_whitespace().collect();
    for value in ["127.0.0.1", "127.0.0.1;127.0.0.1:1863"] {
        let expected = ["Server", "REG_SZ", value];
        let now = fs::read_to_string(&file).unwrap_or_default();
        let now: Vec<&str> = now.lines().filter(|it| it.contains("Server")).collect();
        let there = words.windows(3).any(|it| it == expected);
        assert!(there, "{value}: {read}; {said}; {now:?}");
    }
}
