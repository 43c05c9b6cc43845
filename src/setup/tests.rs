//! What each client's file becomes, and what is not one of its files.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

fn to(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Key and old value of each change.
fn changed(edited: &Edited) -> Vec<(&'static str, Option<&str>)> {
    let changes = edited.changes.iter();
    changes.map(|it| (it.key, it.old.as_deref())).collect()
}

const PIDGIN: &str = "<?xml version='1.0' encoding='UTF-8' ?>

<account version='1.0'>
\t<account>
\t\t<protocol>prpl-jabber</protocol>
\t\t<name>me@jabber.example/</name>
\t\t<settings>
\t\t\t<setting name='server' type='string'>jabber.example</setting>
\t\t\t<setting name='port' type='int'>5222</setting>
\t\t</settings>
\t</account>
\t<account>
\t\t<protocol>prpl-msn-pecan</protocol>
\t\t<name>me@example.com/</name>
\t\t<password>a &amp; b &lt; c</password>
\t\t<settings>
\t\t\t<setting name='buddy_icon'/>
\t\t\t<setting name='server' type='string'>msnmsgr.example.net</setting>
\t\t\t<setting name='http_method' type='bool'>1</setting>
\t\t</settings>
\t\t<settings ui='gtk-gaim'>
\t\t\t<setting name='auto-login' type='bool'>1</setting>
\t\t</settings>
\t</account>
</account>
";

#[test]
fn pidgin_connects_here_and_keeps_everything_else() {
    let edited = Client::Pidgin.edit(PIDGIN, to(1864)).unwrap();
    let expected = PIDGIN
        .replace("msnmsgr.example.net</setting>", "127.0.0.1</setting>")
        .replace(
            "<setting name='http_method' type='bool'>1</setting>\n",
            "<setting name='http_method' type='bool'>0</setting>\n\
             \t\t\t<setting name='port' type='int'>1864</setting>\n",
        );
    assert_eq!(edited.text, expected);
    assert_eq!(edited.found, 1);
    assert_eq!(edited.changes[0].of, "me@example.com");
    let changes = [
        ("server", Some("msnmsgr.example.net")),
        ("port", None),
        ("http_method", Some("1")),
    ];
    assert_eq!(changed(&edited), changes);
    let again = Client::Pidgin.edit(&edited.text, to(1864)).unwrap();
    assert_eq!((again.text, again.changes), (edited.text, vec![]));
}

#[test]
fn pidgin_accounts_without_settings_get_some() {
    let server = "<setting name='server' type='string'>127.0.0.1</setting>";
    let port = "<setting name='port' type='int'>1863</setting>";
    for (old, new) in [
        ("", format!("<settings>{server}{port}</settings>")),
        (
            "<settings/>",
            format!("<settings>{server}{port}</settings>"),
        ),
        (
            "<settings></settings>",
            format!("<settings>{server}{port}</settings>"),
        ),
        (
            "<settings ui='gtk-gaim'/>",
            format!("<settings ui='gtk-gaim'/><settings>{server}{port}</settings>"),
        ),
        (
            "<settings><setting name='server'/></settings>",
            format!("<settings>{server}{port}</settings>"),
        ),
    ] {
        let file = |settings: &str| {
            let settings = settings.replace("\n", "");
            format!("<account><account><protocol>prpl-msn</protocol>{settings}</account></account>")
        };
        let edited = Client::Pidgin.edit(&file(old), to(1863)).unwrap();
        assert_eq!(edited.text.replace('\n', ""), file(&new), "{old}");
    }
}

const AMSN: &str = "<?xml version=\"1.0\"?>

<config>
   <entry>
      <attribute>login</attribute>
      <value>me@example.com</value>
   </entry>
   <entry>
      <attribute>start_ns_server</attribute>
      <value>messenger.hotmail.com:1863</value>
   </entry>
   <entry>
      <attribute>connectiontype</attribute>
      <value>http</value>
   </entry>
   <emoticon>
      <text>&lt;:o)</text>
   </emoticon>

</config>
";

#[test]
fn amsn_connects_here_and_keeps_everything_else() {
    let edited = Client::Amsn.edit(AMSN, to(1863)).unwrap();
    let expected = AMSN
        .replace("messenger.hotmail.com:1863", "127.0.0.1:1863")
        .replace("<value>http</value>", "<value>direct</value>")
        .replace(
            "   </emoticon>\n",
            "   </emoticon>\n   <entry>\n      <attribute>default_ns_server</attribute>\n      \
             <value>127.0.0.1:1863</value>\n   </entry>\n",
        );
    assert_eq!(edited.text, expected);
    let changes = [
        ("start_ns_server", Some("messenger.hotmail.com:1863")),
        ("default_ns_server", None),
        ("connectiontype", Some("http")),
    ];
    assert_eq!(changed(&edited), changes);
    let again = Client::Amsn.edit(&edited.text, to(1863)).unwrap();
    assert_eq!((again.text, again.changes), (edited.text, vec![]));
}

const WINE: &str = "WINE REGISTRY Version 2
;; All keys relative to \\\\User\\\\S-1-5-21-0-0-0-1000

#arch=win64

[Software\\\\Microsoft\\\\MessengerService] 1700000000
#time=1da0000000000
\"FtReceiveFolder\"=\"C:\\\\users\"

[Software\\\\Microsoft\\\\MessengerService\\\\Other] 1700000000
\"Server\"=\"untouched\"

[Software\\\\Microsoft\\\\MSNMessenger] 1700000000
\"A\"=dword:00000001
\"server\"=hex(2):31,00,\\
  32,00,00,00
\"Z\"=\"z\"
";

#[test]
fn the_official_client_is_sent_here_where_it_was_told_a_server() {
    let edited = Client::Messenger.edit(WINE, to(1863)).unwrap();
    let expected = WINE
        .replace(
            "#time=1da0000000000\n",
            "#time=1da0000000000\n\"Server\"=\"127.0.0.1\"\n",
        )
        .replace(
            "\"A\"=dword:00000001\n\"server\"=hex(2):31,00,\\\n  32,00,00,00\n",
            "\"Server\"=\"127.0.0.1;127.0.0.1:1863\"\n\"A\"=dword:00000001\n",
        );
    assert_eq!(edited.text, expected);
    assert_eq!(
        changed(&edited),
        [("Server", None), ("Server", Some("hex(2):31,00,\\"))]
    );
    let again = Client::Messenger.edit(&edited.text, to(1863)).unwrap();
    assert_eq!((again.text, again.changes), (edited.text, vec![]));
    let other = Client::Messenger.edit(WINE, to(1864)).unwrap();
    assert_eq!(other.changes[0].new, "127.0.0.1:1864");

    let none = WINE.replace("Microsoft", "Others");
    let edited = Client::Messenger.edit(&none, to(1863)).unwrap();
    assert_eq!((edited.text, edited.found), (none, 0));
}

#[test]
fn what_no_client_writes_is_refused_with_a_reason() {
    for (client, text, reason) in [
        (Client::Pidgin, "", "root"),
        (Client::Pidgin, &PIDGIN[..PIDGIN.len() - 20], "24:4"),
        (
            Client::Pidgin,
            "<blist version='1.0'/>",
            "<blist> is no list of accounts",
        ),
        (Client::Pidgin, "<account><account></account>", ""),
        (Client::Pidgin, "<account/><account/>", ""),
        (
            Client::Pidgin,
            "<!DOCTYPE a [<!ENTITY b \"c\">]><account>&b;</account>",
            "DTD",
        ),
        (Client::Amsn, "<account/>", "<account> is no configuration"),
        (Client::Amsn, "<config><entry></config>", "entry"),
        (Client::Messenger, "REGEDIT4\n", "no registry of Wine"),
        (Client::Messenger, "", "no registry of Wine"),
    ] {
        let Err(error) = client.edit(text, to(1863)) else {
            panic!("{text}");
        };
        let error = error.to_string();
        assert!(error.contains(reason), "{text}: {error}");
        assert!(error.ends_with("it is left as it is"), "{error}");
    }
}

proptest! {
    /// Whatever stands in a file: no panic, and a second time there is nothing to do.
    #[test]
    fn once_is_enough(
        text in "(WINE REGISTRY Version 2\n)?([<>/'=\\[\\]\"\\\\ \n#a]|account|config|entry|attribute|value|\
            setting name=|settings|server|prpl-msn|protocol|Software\\\\\\\\Microsoft\\\\\\\\|MSNMessenger|\
            \"Server\"=){0,60}",
    ) {
        for client in Client::ALL {
            if let Ok(edited) = client.edit(&text, to(1863)) {
                let again = client.edit(&edited.text, to(1863)).unwrap();
                prop_assert_eq!(&again.changes, &[]);
                prop_assert_eq!(&again.text, &edited.text);
            }
        }
    }
}

#[test]
fn what_is_written_has_a_copy_beside_it_and_the_same_mode() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("accounts.xml");
    std::fs::write(&file, "one").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let link = dir.path().join("link");
    symlink(&file, &link).unwrap();
    let first = write(&link, "one", "two").unwrap();
    let second = write(&file, "two", "three").unwrap();
    assert_ne!(first, second);
    for (path, text) in [(&file, "three"), (&first, "one"), (&second, "two")] {
        assert_eq!(std::fs::read_to_string(path).unwrap(), text);
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640, "{}", path.display());
    }
    assert!(link.is_symlink());
    // Somebody else has written since it was read.
    assert!(write(&file, "one", "four").is_err());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "three");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 4);
}
