//! What the packages bring: configuration, unit, scripts, pages; and, with
//! WEIGHBRIDGE_DIST=1, the packages that `cargo xtask dist` built.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use weighbridge_tests::{root, run, weighbridge};

fn packaging(name: &str) -> PathBuf {
    root().join("agent/packaging").join(name)
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path.as_ref()).unwrap_or_else(|e| panic!("{}: {e}", path.as_ref().display()))
}

/// Both streams, for people.
fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn have(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success())
}

mod configuration {
    use super::*;

    fn check(text: &str) -> Output {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weighbridge.toml");
        fs::write(&path, text).unwrap();
        run(&["daemon", "--check", "--config", path.to_str().unwrap()])
    }

    /// Every `# key = value` as if it were set. The policy comes from one place
    /// only, so the directory goes.
    fn with_all_set(text: &str) -> String {
        let key =
            |line: &str| line.split_once(" = ").is_some_and(|(k, _)| k.chars().all(|c| c == '_' || c.is_lowercase()));
        let set = text.lines().map(|line| line.strip_prefix("# ").filter(|rest| key(rest)).unwrap_or(line));
        set.filter(|line| !line.starts_with("directory = ")).fold(String::new(), |all, line| all + line + "\n")
    }

    #[test]
    fn the_packaged_one_is_accepted_as_it_is_and_with_every_key_set() {
        let text = read(packaging("weighbridge.toml"));
        let output = run(&["daemon", "--check", "--config", packaging("weighbridge.toml").to_str().unwrap()]);
        assert!(output.status.success(), "{}", said(&output));
        let all = with_all_set(&text);
        let output = check(&all);
        assert!(output.status.success(), "{}", said(&output));
        // That what was a comment is read: a mistake in it is found.
        let wrong = all.replace("sweep_hours", "sweep_hour");
        assert_ne!(wrong, all);
        assert_eq!(check(&wrong).status.code(), Some(2));
    }

    /// `section.key` of what the daemon knows, from its own definition.
    fn known() -> BTreeSet<String> {
        let source = read(root().join("agent/daemon/src/config.rs"));
        let mut keys = BTreeSet::new();
        let mut section = String::new();
        for line in source.lines() {
            if let Some(name) = line.strip_prefix("pub struct ").and_then(|l| l.strip_suffix("Config {")) {
                section = if name.is_empty() { String::new() } else { format!("{}.", name.to_lowercase()) };
            } else if let Some((key, kind)) = line.strip_prefix("    pub ").and_then(|l| l.split_once(": "))
                && !key.contains('(')
                && !kind.ends_with("Config,")
            {
                keys.insert(format!("{section}{key}"));
            }
        }
        keys
    }

    #[test]
    fn every_key_there_is_is_shown_and_no_other() {
        let mut shown = BTreeSet::new();
        let mut section = String::new();
        for line in read(packaging("weighbridge.toml")).lines() {
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                section = format!("{name}.");
            } else if let Some((key, _)) = line.trim_start_matches("# ").split_once(" = ")
                && key.chars().all(|c| c == '_' || c.is_lowercase())
            {
                shown.insert(format!("{section}{key}"));
            }
        }
        assert!(shown.len() > 25, "{shown:?}");
        assert_eq!(shown, known());
    }

    #[test]
    fn as_installed_nothing_is_touched() {
        let text = read(packaging("weighbridge.toml"));
        for line in ["enabled = false", "quarantine = false", "sever = false", "kill = false"] {
            assert!(text.lines().any(|l| l == line), "{line}");
        }
        let gate = text.split("[gate]").nth(1).unwrap().split("\n[").next().unwrap();
        assert!(gate.contains("\nenabled = false\n"));
        let teams = read(packaging("policy/fleet/teams.yaml"));
        let modes: Vec<&str> = teams.lines().filter(|l| !l.starts_with('#') && l.contains("mode:")).collect();
        assert!(modes.len() >= 3 && modes.iter().all(|l| l.contains("{ mode: observe }")), "{modes:?}");
        let ours = read(root().join("policy/starter/fleet/teams.yaml"));
        let teams_of = |text: &str| -> Vec<String> {
            text.lines().filter_map(|l| l.split_once(": { mode")).map(|(team, _)| team.trim().to_owned()).collect()
        };
        assert_eq!(teams_of(&teams), teams_of(&ours), "a team of the starter is left with another mode");
    }
}

mod unit {
    use super::*;

    fn text() -> String {
        read(packaging("weighbridge.service"))
    }

    #[test]
    fn systemd_accepts_it() {
        if !have("systemd-analyze") {
            println!("skipped: there is no systemd-analyze");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let verify = |text: &str| {
            let unit = dir.path().join("weighbridge.service");
            fs::write(&unit, text).unwrap();
            let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output().unwrap();
            // What it says of other units of this machine is not about ours.
            let ours: String =
                said(&output).lines().filter(|l| l.contains("weighbridge")).map(|l| format!("{l}\n")).collect();
            (output.status.success(), ours)
        };
        let installed = text().replace("/usr/bin/weighbridge", weighbridge().to_str().unwrap());
        assert_eq!(verify(&installed), (true, String::new()));
        // That it looks at all.
        let (_, complaint) = verify(&installed.replace("ProtectClock=", "ProtectClocks="));
        assert!(complaint.contains("ProtectClocks"), "{complaint}");
    }

    #[test]
    fn it_runs_what_is_packaged_where_the_configuration_says() {
        let (unit, config) = (text(), read(packaging("weighbridge.toml")));
        assert!(unit.contains("\nExecStart=/usr/bin/weighbridge daemon --config /etc/weighbridge/weighbridge.toml\n"));
        assert!(
            unit.contains("\nStateDirectory=weighbridge\n") && config.contains("\nstate = \"/var/lib/weighbridge\"\n")
        );
        assert!(unit.contains("\nRuntimeDirectory=weighbridge\n"));
        assert!(config.contains("socket = \"/run/weighbridge/control.sock\"\n"));
        assert!(config.contains("\ndirectory = \"/etc/weighbridge/policy\"\n"));
    }

    #[test]
    fn every_capability_has_its_reason() {
        let text = text();
        let lines: Vec<&str> = text.lines().collect();
        let mut seen = 0;
        for pair in lines.windows(2) {
            if pair[1].starts_with("CapabilityBoundingSet=") {
                assert!(pair[0].starts_with("# "), "{}", pair[1]);
                assert!(!pair[1].contains('~') && pair[1].contains("CAP_"), "a list of what is allowed: {}", pair[1]);
                seen += 1;
            }
        }
        assert!(seen > 5);
    }
}

mod pages {
    use super::*;

    /// Commands that `--help` lists.
    fn commands() -> Vec<String> {
        let help = run(&["--help"]);
        let help = String::from_utf8(help.stdout).unwrap();
        let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
        let names = list.lines().filter(|l| l.starts_with("  ") && !l.starts_with("   "));
        names.filter_map(|l| l.split_whitespace().next()).filter(|n| *n != "help").map(str::to_owned).collect()
    }

    #[test]
    fn each_command_has_a_page_and_completions_and_hidden_ones_have_none() {
        let dir = tempfile::tempdir().unwrap();
        let output = run(&["__pages", dir.path().to_str().unwrap()]);
        assert!(output.status.success(), "{}", said(&output));
        let commands = commands();
        assert!(commands.iter().any(|c| c == "daemon") && commands.len() >= 15, "{commands:?}");
        for command in &commands {
            let page = read(dir.path().join(format!("man/weighbridge-{command}.1")));
            assert!(page.contains(".TH") && page.contains(".SH SYNOPSIS"), "{command}");
        }
        assert!(read(dir.path().join("man/weighbridge-quarantine-restore.1")).contains("restore"));
        assert!(read(dir.path().join("man/weighbridge.1")).contains("weighbridge"));
        for entry in fs::read_dir(dir.path().join("man")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.contains("__") && name.starts_with("weighbridge"), "{name}");
        }
        for shell in ["weighbridge.bash", "weighbridge.fish", "_weighbridge"] {
            let text = read(dir.path().join("completions").join(shell));
            assert!(commands.iter().all(|c| text.contains(c.as_str())), "{shell}");
            assert!(!text.contains("conformance") && !text.contains("compile-rules"), "{shell}");
        }
    }

    #[test]
    fn bash_completes_commands_and_options() {
        if !have("bash") {
            println!("skipped: there is no bash");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        assert!(run(&["__pages", dir.path().to_str().unwrap()]).status.success());
        let complete = |words: &str, last: &str| {
            let script = format!(
                ". {}/completions/weighbridge.bash; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
                 _weighbridge weighbridge {last:?} ''; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
                dir.path().display()
            );
            let output = Command::new("bash").args(["-c", &script]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(complete("weighbridge quar", "quar"), ["quarantine"]);
        assert!(complete("weighbridge daemon --c", "--c").contains(&"--config".to_owned()));
    }
}

mod scripts {
    use super::*;

    /// A system that lies in a folder, with the files of the package.
    struct System {
        dir: tempfile::TempDir,
    }

    impl System {
        fn new() -> Self {
            let system = Self { dir: tempfile::tempdir().unwrap() };
            let policy = system.at("usr/share/weighbridge/policy");
            assert!(run(&["policy", "init", policy.to_str().unwrap()]).status.success());
            fs::copy(packaging("policy/fleet/teams.yaml"), policy.join("fleet/teams.yaml")).unwrap();
            for folder in ["usr/lib/weighbridge", "usr/bin", "etc/weighbridge", "var/lib"] {
                fs::create_dir_all(system.at(folder)).unwrap();
            }
            fs::copy(packaging("setup"), system.at("usr/lib/weighbridge/setup")).unwrap();
            system
        }

        fn at(&self, path: &str) -> PathBuf {
            self.dir.path().join(path)
        }

        fn policy(&self, file: &str) -> PathBuf {
            self.at("etc/weighbridge/policy").join(file)
        }

        fn state(&self, file: &str) -> PathBuf {
            self.at("var/lib/weighbridge").join(file)
        }

        /// Runs a script; returns what it said.
        fn script(&self, name: &str, arguments: &[&str]) -> String {
            let systemctl = self.at("usr/bin/systemctl");
            fs::write(&systemctl, format!("#!/bin/sh\necho \"$*\" >>{}\n", self.at("calls").display())).unwrap();
            fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
            let path = std::env::var("PATH").unwrap();
            let output = Command::new("sh")
                .arg(packaging(name))
                .args(arguments)
                .env("PATH", format!("{}:{path}", self.at("usr/bin").display()))
                .env("DPKG_ROOT", self.dir.path())
                .env("RPM_INSTALL_PREFIX", self.dir.path())
                .output()
                .unwrap();
            assert!(output.status.success(), "{name} {arguments:?}: {}", said(&output));
            said(&output)
        }

        /// How the service manager was called since the last time.
        fn calls(&self) -> String {
            let calls = fs::read_to_string(self.at("calls")).unwrap_or_default();
            let _ = fs::remove_file(self.at("calls"));
            calls
        }

        fn install(&self) {
            self.script("deb/postinst", &["configure", ""]);
        }

        /// As after a while of use.
        fn gather_state(&self, quarantined: bool) {
            fs::create_dir_all(self.state("quarantine")).unwrap();
            fs::write(self.state("weighbridge.db"), "inventory").unwrap();
            if quarantined {
                fs::write(self.state("quarantine/1.file"), "theirs").unwrap();
            }
        }
    }

    #[test]
    fn the_shell_can_read_them() {
        for name in ["setup", "deb/postinst", "deb/postrm", "rpm/post", "rpm/preun", "rpm/postun"] {
            let output = Command::new("sh").arg("-n").arg(packaging(name)).output().unwrap();
            assert!(output.status.success(), "{name}: {}", said(&output));
        }
        for name in ["deb/postinst", "deb/postrm"] {
            // Where cargo-deb puts what systemd needs.
            assert!(read(packaging(name)).ends_with("#DEBHELPER#\n"), "{name}");
        }
    }

    #[test]
    fn a_first_install_brings_a_policy_that_observes() {
        let system = System::new();
        system.install();
        let check = run(&["policy", "check", system.policy("").to_str().unwrap()]);
        assert!(check.status.success(), "{}", said(&check));
        assert!(read(system.policy("fleet/teams.yaml")).contains("default: { mode: observe }"));
        assert!(!system.at("etc/weighbridge/policy.new").exists());
        let mode = fs::metadata(system.state("")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_policy_that_is_there_is_kept_whatever_it_is() {
        let system = System::new();
        fs::create_dir_all(system.policy("policies")).unwrap();
        fs::write(system.policy("policies/mine.cedar"), "mine").unwrap();
        assert!(system.script("deb/postinst", &["configure", ""]).contains("is kept"));
        assert_eq!(fs::read_dir(system.policy("")).unwrap().count(), 1);

        let system = System::new();
        symlink("/srv/nowhere", system.at("etc/weighbridge/policy")).unwrap();
        system.install();
        assert_eq!(fs::read_link(system.at("etc/weighbridge/policy")).unwrap(), Path::new("/srv/nowhere"));
    }

    #[test]
    fn an_upgrade_changes_neither_policy_nor_state() {
        let system = System::new();
        system.install();
        system.gather_state(true);
        fs::write(system.policy("fleet/teams.yaml"), "mine").unwrap();
        fs::remove_dir_all(system.policy("data")).unwrap();
        for (script, arguments) in [("deb/postrm", ["upgrade", "0.2.0-1"]), ("deb/postinst", ["configure", "0.1.0-1"])]
        {
            system.script(script, &arguments);
        }
        assert_eq!(read(system.policy("fleet/teams.yaml")), "mine");
        assert!(!system.policy("data").exists());
        assert_eq!(read(system.state("quarantine/1.file")), "theirs");
        assert_eq!(read(system.state("weighbridge.db")), "inventory");

        // Somebody who has no use for it does not get it again.
        fs::remove_dir_all(system.policy("")).unwrap();
        system.script("deb/postinst", &["configure", "0.1.0-1"]);
        assert!(!system.policy("").exists());
    }

    #[test]
    fn removal_keeps_everything_and_says_what_is_in_quarantine() {
        let system = System::new();
        system.install();
        system.gather_state(false);
        assert_eq!(system.script("deb/postrm", &["remove"]), "");
        fs::write(system.state("quarantine/1.file"), "theirs").unwrap();
        assert!(system.script("deb/postrm", &["remove"]).contains("var/lib/weighbridge/quarantine"));
        assert!(system.state("weighbridge.db").exists() && system.policy("policies").exists());
    }

    #[test]
    fn purge_takes_what_is_ours() {
        let system = System::new();
        system.install();
        system.gather_state(false);
        assert_eq!(system.script("deb/postrm", &["purge"]), "");
        assert!(!system.state("").exists() && !system.at("etc/weighbridge").exists());
        // Again, and where nothing ever was.
        system.script("deb/postrm", &["purge"]);
    }

    #[test]
    fn purge_leaves_quarantine_and_says_so() {
        let system = System::new();
        system.install();
        system.gather_state(true);
        let said = system.script("deb/postrm", &["purge"]);
        assert!(said.contains("stay in") && said.contains("var/lib/weighbridge/quarantine"), "{said}");
        assert_eq!(read(system.state("quarantine/1.file")), "theirs");
        assert_eq!(fs::read_dir(system.state("")).unwrap().count(), 1, "the rest goes");
    }

    #[test]
    fn purge_leaves_a_policy_that_somebody_worked_on() {
        let changes: [fn(&System); 3] = [
            |system| fs::write(system.policy("fleet/teams.yaml"), "mine").unwrap(),
            |system| fs::write(system.policy("policies/mine.cedar"), "mine").unwrap(),
            |system| fs::remove_file(system.policy("policies/use.cedar")).unwrap(),
        ];
        for change in changes {
            let system = System::new();
            system.install();
            change(&system);
            assert!(system.script("deb/postrm", &["purge"]).contains("not the one that was installed"));
            assert!(system.policy("policies/baseline.cedar").exists());
        }
    }

    #[test]
    fn rpm_installs_upgrades_and_removes_alike() {
        let system = System::new();
        system.script("rpm/post", &["1"]);
        assert!(system.policy("policies/baseline.cedar").exists());
        assert!(system.calls().contains("preset weighbridge.service"));
        system.gather_state(true);

        fs::remove_dir_all(system.policy("")).unwrap();
        system.script("rpm/post", &["2"]);
        system.script("rpm/preun", &["1"]);
        system.script("rpm/postun", &["1"]);
        assert!(!system.policy("").exists());
        let calls = system.calls();
        assert!(!calls.contains("disable") && !calls.contains("preset"), "{calls}");

        system.script("rpm/preun", &["0"]);
        assert!(system.calls().contains("disable"));
        assert!(system.script("rpm/postun", &["0"]).contains("/var/lib/weighbridge"));
        assert_eq!(read(system.state("quarantine/1.file")), "theirs");
    }
}

mod built {
    use super::*;

    /// What stands in a package beside pages and the starter policy.
    const FILES: &[(&str, &str)] = &[
        ("-rwxr-xr-x", "usr/bin/weighbridge"),
        ("-rwxr-xr-x", "usr/lib/weighbridge/setup"),
        ("-rw-r--r--", "usr/lib/weighbridge/libonnxruntime.so"),
        ("-rw-r--r--", "usr/lib/systemd/system/weighbridge.service"),
        ("-rw-r--r--", "etc/weighbridge/weighbridge.toml"),
        ("-rw-r--r--", "usr/share/bash-completion/completions/weighbridge"),
        ("-rw-r--r--", "usr/share/fish/vendor_completions.d/weighbridge.fish"),
        ("-rw-r--r--", "usr/share/doc/weighbridge/copyright"),
        ("-rw-r--r--", "usr/share/doc/weighbridge/installing.md"),
        ("-rw-r--r--", "usr/share/doc/weighbridge/third-party.txt.gz"),
        ("-rw-r--r--", "usr/share/man/man1/weighbridge.1.gz"),
        ("-rw-r--r--", "usr/share/man/man1/weighbridge-daemon.1.gz"),
        ("-rw-r--r--", "usr/share/weighbridge/policy/fleet/teams.yaml"),
        ("-rw-r--r--", "usr/share/weighbridge/policy/policies/baseline.cedar"),
        ("-rw-r--r--", "usr/share/weighbridge/policy/schema.cedarschema"),
    ];

    /// The package that ends in `kind`; none, with the reason printed, unless
    /// it is asked for.
    fn package(kind: &str) -> Option<PathBuf> {
        if std::env::var_os("WEIGHBRIDGE_DIST").is_none_or(|v| v != "1") {
            println!("skipped: building packages takes long; run `cargo xtask dist` and set WEIGHBRIDGE_DIST=1");
            return None;
        }
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
        let dist = target.join("dist");
        let entries = fs::read_dir(&dist).into_iter().flatten().flatten().map(|e| e.path());
        let found = entries.into_iter().find(|p| p.extension().is_some_and(|e| e == kind));
        assert!(found.is_some(), "there is no .{kind} in {}; run `cargo xtask dist`", dist.display());
        found
    }

    fn ask(program: &str, arguments: &[&str], package: &Path) -> String {
        let output = Command::new(program).args(arguments).arg(package).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn the_deb_holds_what_it_should_and_that_works() {
        let Some(deb) = package("deb") else { return };
        if !have("dpkg-deb") {
            println!("skipped: there is no dpkg-deb");
            return;
        }
        let listing = ask("dpkg-deb", &["--contents"], &deb);
        let entries: Vec<(&str, &str, &str)> = listing
            .lines()
            .map(|line| {
                let fields: Vec<&str> = line.split_whitespace().collect();
                (fields[0], fields[1], fields[5].trim_start_matches("./"))
            })
            .collect();
        for (mode, path) in FILES {
            assert!(entries.iter().any(|(m, _, p)| m == mode && p == path), "{mode} {path}\n{listing}");
        }
        for (mode, owner, path) in &entries {
            assert!(["0/0", "root/root"].contains(owner), "{owner} {path}");
            assert!(mode.starts_with('d') || mode.starts_with('-'), "{mode} {path}");
            assert!(!mode.contains('s') && !mode.ends_with("w-") && !mode.ends_with("wx"), "{mode} {path}");
            let ours = ["usr/", "etc/"].iter().any(|folder| path.starts_with(folder)) || path.is_empty();
            assert!(ours, "{path}");
            assert!(!path.contains("/tests/") && !path.contains("/.github"), "{path}");
        }

        let dir = tempfile::tempdir().unwrap();
        let output = Command::new("dpkg-deb").arg("-R").arg(&deb).arg(dir.path()).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(read(dir.path().join("DEBIAN/conffiles")), "/etc/weighbridge/weighbridge.toml\n");
        let postinst = read(dir.path().join("DEBIAN/postinst"));
        assert!(postinst.contains("deb-systemd-helper enable") && !postinst.contains("#DEBHELPER#"), "{postinst}");
        assert!(read(dir.path().join("DEBIAN/prerm")).contains("deb-systemd-invoke stop"));
        assert_eq!(read(dir.path().join("etc/weighbridge/weighbridge.toml")), read(packaging("weighbridge.toml")));

        let binary = dir.path().join("usr/bin/weighbridge");
        let version = Command::new(&binary).arg("--version").output().unwrap();
        assert!(
            ask("dpkg-deb", &["--show", "--showformat=${Version}"], &deb)
                .starts_with(String::from_utf8_lossy(&version.stdout).trim().trim_start_matches("weighbridge "))
        );
        for arguments in [
            ["daemon", "--check", "--config", "etc/weighbridge/weighbridge.toml"].as_slice(),
            &["policy", "check", "usr/share/weighbridge/policy"],
        ] {
            let output = Command::new(&binary).args(arguments).current_dir(dir.path()).output().unwrap();
            assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        }
    }

    /// Run in a copy of this machine's file system that forgets everything.
    const LIFE: &str = r#"
        set -eu
        dpkg -i /dist/old.deb
        test -x /usr/bin/weighbridge && test -f /etc/weighbridge/policy/fleet/teams.yaml
        test -L /etc/systemd/system/multi-user.target.wants/weighbridge.service
        weighbridge daemon --check
        weighbridge policy check /etc/weighbridge/policy
        mkdir -p -m 0700 /var/lib/weighbridge/quarantine
        echo inventory >/var/lib/weighbridge/weighbridge.db
        echo theirs >/var/lib/weighbridge/quarantine/1.file
        echo '# mine' >>/etc/weighbridge/weighbridge.toml
        dpkg --force-confdef --force-confold -i /dist/new.deb
        dpkg -s weighbridge | grep -q '^Version: 9.9.9-1$'
        grep -qx '# mine' /etc/weighbridge/weighbridge.toml
        grep -qx inventory /var/lib/weighbridge/weighbridge.db
        dpkg -r weighbridge
        test ! -e /usr/bin/weighbridge && test ! -e /usr/share/weighbridge
        grep -qx '# mine' /etc/weighbridge/weighbridge.toml
        grep -qx inventory /var/lib/weighbridge/weighbridge.db
        dpkg -i /dist/new.deb
        dpkg -P weighbridge 2>&1 | grep 'stay in /var/lib/weighbridge/quarantine'
        grep -qx theirs /var/lib/weighbridge/quarantine/1.file
        test ! -e /var/lib/weighbridge/weighbridge.db && test ! -e /etc/weighbridge
        test -z "$(find /etc/systemd /var/lib/systemd -name '*weighbridge*' ! -type d)"
        echo lived
    "#;

    #[test]
    fn the_deb_is_installed_upgraded_removed_and_purged() {
        let Some(deb) = package("deb") else { return };
        let dir = tempfile::tempdir().unwrap();
        let (tree, new) = (dir.path().join("tree"), dir.path().join("new.deb"));
        // A later version with another configuration.
        let unpacked = Command::new("dpkg-deb").arg("-R").arg(&deb).arg(&tree).output();
        if !unpacked.is_ok_and(|o| o.status.success()) {
            println!("skipped: there is no dpkg-deb, or the package cannot be unpacked here");
            return;
        }
        let control = read(tree.join("DEBIAN/control"));
        let later: String = control
            .lines()
            .map(|l| if l.starts_with("Version: ") { "Version: 9.9.9-1\n".to_owned() } else { format!("{l}\n") })
            .collect();
        assert_ne!(control, later);
        fs::write(tree.join("DEBIAN/control"), later).unwrap();
        let config = tree.join("etc/weighbridge/weighbridge.toml");
        fs::write(&config, format!("# later\n{}", read(&config))).unwrap();
        let _ = fs::remove_file(tree.join("DEBIAN/md5sums"));
        let packed = Command::new("dpkg-deb").args(["-Znone", "-b"]).arg(&tree).arg(&new).output().unwrap();
        assert!(packed.status.success(), "{}", said(&packed));

        let script = dir.path().join("life");
        fs::write(&script, LIFE).unwrap();
        let copy = format!(
            "set -e; cd {dir}; mkdir over; mount -t tmpfs none over; mkdir over/up over/work over/root; \
             mount -t overlay -o lowerdir=/,upperdir=over/up,workdir=over/work none over/root; \
             mkdir -p over/root/dist; cp {deb} over/root/dist/old.deb; cp new.deb life over/root/dist; \
             mount --rbind /dev over/root/dev; mount -t proc none over/root/proc; \
             exec chroot over/root sh /dist/life",
            dir = dir.path().display(),
            deb = deb.display(),
        );
        let output = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--propagation", "private", "sh", "-c", &copy])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .unwrap();
        let said = said(&output);
        if !output.status.success() && (said.contains("unshare failed") || said.contains("mount: ")) {
            println!("skipped: a copy of the file system cannot be made here; run as root: {said}");
            return;
        }
        assert!(output.status.success() && said.contains("\nlived\n"), "{said}");
    }

    #[test]
    fn the_rpm_holds_what_the_deb_does() {
        let (Some(deb), Some(rpm)) = (package("deb"), package("rpm")) else { return };
        if !have("rpm") {
            println!("skipped: there is no rpm");
            return;
        }
        let in_rpm: BTreeSet<String> = ask("rpm", &["-qlp"], &rpm).lines().map(str::to_owned).collect();
        let listing = ask("dpkg-deb", &["--contents"], &deb);
        let in_deb = listing.lines().filter(|l| l.starts_with('-')).filter_map(|l| l.split_whitespace().nth(5));
        let mut in_deb: BTreeSet<String> = in_deb.map(|p| p.trim_start_matches('.').to_owned()).collect();
        // Where the distributions differ.
        assert!(in_deb.remove("/usr/share/zsh/vendor-completions/_weighbridge"));
        in_deb.insert("/usr/share/zsh/site-functions/_weighbridge".to_owned());
        in_deb.insert("/usr/share/licenses/weighbridge/LICENSE".to_owned());
        assert_eq!(in_rpm, in_deb);
        assert_eq!(ask("rpm", &["-qcp"], &rpm), "/etc/weighbridge/weighbridge.toml\n");
        let scripts = ask("rpm", &["-qp", "--scripts"], &rpm);
        assert!(scripts.contains("setup") && scripts.contains("try-restart"), "{scripts}");
    }
}
