//! Arbitrary input: no panic, no leak, no long wait.

use std::path::Path;
use std::time::{Duration, Instant};

use ferromcp_config::{Config, import};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::prop_assert;

fn load(text: &str) -> Result<Config, ferromcp_config::ConfigError> {
    Config::from_yaml(text, Path::new("f.yaml"), &|name| {
        (name.len() == 1).then(|| name.to_owned())
    })
}

/// Text made of the parts that matter to the readers, so that it gets past the first character.
fn near_yaml() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("servers:"),
        Just("log: "),
        Just("level: "),
        Just("info"),
        Just("\n"),
        Just("\n  "),
        Just("    "),
        Just(" "),
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(", "),
        Just(": "),
        Just("- "),
        Just("? "),
        Just("&a "),
        Just("*a"),
        Just("|"),
        Just(">-"),
        Just("'"),
        Just("\""),
        Just("#"),
        Just(" # c"),
        Just("!t "),
        Just("---"),
        Just("..."),
        Just("<<"),
        Just("${A}"),
        Just("${"),
        Just("$${"),
        Just("é"),
        Just("\u{feff}"),
        Just("\r\n"),
        Just("\t"),
        Just("\\"),
        Just("\\u00e9"),
        Just("%YAML 1.2"),
        Just("env"),
        Just("a"),
        Just("1"),
        Just("~"),
        Just("command: "),
        Just("@"),
        Just("`"),
        Just("\u{85}"),
        Just("\u{2028}"),
    ];
    proptest::collection::vec(part, 0..60).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(500))]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = load(&text).map_err(|e| e.render(true));
        let _ = import(&text, Path::new("f.json")).map_err(|e| e.render(true));
    }

    #[test]
    fn text_like_yaml_is_read_or_refused(text in near_yaml()) {
        if let Err(error) = load(&text) {
            for problem in error.problems() {
                prop_assert!(problem.line() >= 1 && problem.line() <= text.matches('\n').count() + 2);
                prop_assert!(problem.column() >= 1);
            }
            let plain = error.render(false);
            prop_assert!(!plain.contains('\x1b'));
        }
        let _ = import(&text, Path::new("f.json")).map_err(|e| e.render(false));
    }

    /// Whatever stands around a secret, and however wrong it is, no error shows it.
    #[test]
    fn literal_secrets_do_not_leak(before in near_yaml(), after in near_yaml(), quote in prop_oneof![Just(""), Just("\""), Just("'")]) {
        let text = format!("servers:\n  a:\n    env:\n      TOKEN: {quote}xhunter2x{quote}\n{before}\n    headers: {{ B: xhunter2x{after} }}\n");
        if let Err(error) = load(&text) {
            prop_assert!(!error.render(false).contains("hunter2"), "{}", error);
        }
    }

    /// Our JSON reader accepts what serde_json accepts, and with the same strings.
    #[test]
    fn json_is_read_as_serde_json_reads_it(key in any::<String>(), value in any::<String>(), ascii in any::<bool>()) {
        let mut quoted = serde_json::to_string(&value).unwrap();
        if ascii {
            let escaped: String = quoted.chars().flat_map(|c| {
                let mut units = [0; 2];
                if c.is_ascii() { vec![c.to_string()] } else { c.encode_utf16(&mut units).iter().map(|u| format!("\\u{u:04x}")).collect() }
            }).collect();
            quoted = escaped;
        }
        let name = serde_json::to_string(&key).unwrap();
        let text = format!("{{\"mcpServers\": {{\"a\": {{\"command\": \"x\", \"args\": [{quoted}], \"extra\": {{{name}: 1}}}}}}}}");
        let unusable = |s: &str| s.contains('\0') || s.contains("${") || s.chars().any(|c| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'));
        if !unusable(&value) && !unusable(&key) {
            let imported = import(&text, Path::new("f.json")).map_err(|e| proptest::test_runner::TestCaseError::fail(e.to_string()))?;
            let config = load(&imported.yaml).map_err(|e| proptest::test_runner::TestCaseError::fail(e.to_string()))?;
            let ferromcp_config::Transport::Stdio(command) = &config.servers[0].transport else { panic!("a program") };
            prop_assert!(command.args[0].expose() == value);
        }
    }
}

/// As much of the worst as is read must be dealt with in a time a person would wait. The bound is generous for slow machines.
#[test]
fn large_hostile_files_do_not_take_long() {
    let size = 4 * 1024 * 1024 - 64;
    let fill = |unit: &str| unit.repeat(size / unit.len());
    let mut anchors = String::new();
    for i in 0..40_000 {
        anchors.push_str(&format!("k{i}: &a{i} x\n"));
    }
    for text in [
        fill("["),
        fill("{"),
        fill("- "),
        fill("? "),
        fill("a: "),
        fill("'"),
        fill("\""),
        fill("#\n"),
        fill("\n"),
        fill(" "),
        fill("\t"),
        fill("*a "),
        fill("&a "),
        fill("!a "),
        fill("!<"),
        fill("%A\n"),
        fill("---\n"),
        fill("é"),
        fill("- a\n"),
        fill("x\n"),
        fill("[a, "),
        fill("a: b\n"),
        fill("${A}"),
        format!("a: \"{}\"", fill("\\u0041")),
        format!("server: {{ title: \"{}\" }}", fill("${A}")),
        format!("log: {{ {} }}", fill("aaaaaaa: 1, ")),
        format!("\"{}\": 1", fill("k")),
        anchors,
    ] {
        let start = Instant::now();
        let refused = load(&text).map_err(|e| e.render(false)).err();
        let imported = import(&text, Path::new("f.json")).map_err(|e| e.render(false));
        let took = start.elapsed();
        assert!(
            took < Duration::from_secs(20),
            "{took:?} for {:?}",
            &text.chars().take(20).collect::<String>()
        );
        assert!(imported.is_err());
        if let Some(message) = refused {
            assert!(message.len() < 200_000, "{} bytes of message", message.len());
        }
    }
}
