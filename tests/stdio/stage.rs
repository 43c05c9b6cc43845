//! Who is there, and the home of the one who has the program.

use std::path::Path;

/// Our user, and the contact.
pub(crate) const USER: &str = "ann@example.com";
pub(crate) const PEER: &str = "bob@example.com";

/// Variables that keep the program out of everything else of this machine.
pub(crate) fn variables(home: &Path) -> [(&'static str, String); 5] {
    let folder = home.display().to_string();
    [
        ("HOME", folder.clone()),
        ("XDG_CONFIG_HOME", format!("{folder}/config")),
        ("XDG_DATA_HOME", format!("{folder}/data")),
        ("XDG_RUNTIME_DIR", folder),
        ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere".to_owned()),
    ]
}

/// Voice calls are taken by the built-in agent.
pub(crate) fn furnish(home: &Path, config: &str) {
    let folder = home.join("config/msn-handoff");
    std::fs::create_dir_all(folder.join("bridges")).unwrap();
    std::fs::write(folder.join("config.toml"), config).unwrap();
    let voice = r#"
id         = "voice"
name       = "voice call"
guids      = ["{02D3C01F-BF30-4825-A83A-DE7AF41648AA}"]
announce   = "an audio conversation"
[negotiation]
address    = "ip:port"
listens    = "both"
media      = ["audio"]
connection = true
enc64      = true
[[handoff]]
name    = "the built-in agent"
adapter = "sip"
builtin = true
"#;
    std::fs::write(folder.join("bridges/voice.toml"), voice).unwrap();
}
