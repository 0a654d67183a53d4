//! A machine and its console, as processes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use weighbridge_tests::console;

use crate::machine::{Machine, POISON, weights};

struct Console {
    data: PathBuf,
    address: String,
    process: Child,
}

impl Console {
    /// At `address`; port 0 is any.
    fn start(machine: &Machine, address: &str) -> Self {
        let data = machine.at("console");
        let mut process = Command::new(console())
            .args(["serve", "--interval", "1", "--listen", address, "--data"])
            .arg(&data)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit("https://").next().unwrap().to_owned();
        assert!(address.starts_with("127.0.0.1:"), "{line}");
        Self { data, address, process }
    }

    fn token(&self) -> String {
        let made = Command::new(console()).args(["token", "--data"]).arg(&self.data).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }

    /// Rows of a statement on its database, each a list.
    fn rows(&self, statement: &str) -> Vec<Vec<Value>> {
        let script = "import json, sqlite3, sys\n\
                      db = sqlite3.connect(sys.argv[1], timeout=10)\n\
                      rows = db.execute(sys.argv[2]).fetchall()\n\
                      db.commit()\n\
                      print(json.dumps(rows))";
        let read =
            Command::new("python3").args(["-c", script]).arg(self.data.join("console.db")).arg(statement).output();
        let read = read.unwrap();
        serde_json::from_slice(&read.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&read.stderr)))
    }

    fn paths(&self) -> Vec<String> {
        let rows = self.rows("SELECT path FROM model_files ORDER BY path");
        rows.iter().map(|row| row[0].as_str().unwrap().to_owned()).collect()
    }

    fn count(&self, statement: &str) -> i64 {
        self.rows(statement)[0][0].as_i64().unwrap()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_console_hears_of_a_machine_through_crashes_and_has_it_obey() {
    let Some(mut machine) = Machine::new(false) else { return };
    let mut console = Console::start(&machine, "127.0.0.1:0");
    let token = console.token();
    fs::copy(weights(), machine.home("first.safetensors")).unwrap();
    machine.start();
    let config = machine.at("w.toml").display().to_string();
    let url = format!("https://{}", console.address);
    machine.ok(&["enroll", "--console", &url, &token, "--config", &config]);
    let first = machine.home("first.safetensors").display().to_string();
    machine.until("the console knows the first file", || console.paths() == [first.clone()]);
    let row = &console.rows("SELECT verdict, effect, format, policies FROM model_files")[0];
    assert_eq!(
        (row[0].as_str(), row[1].as_str(), row[2].as_str()),
        (Some("clean"), Some("allow"), Some("safetensors"))
    );
    assert!(row[3].as_str().unwrap().contains("allow-unless-forbidden"), "{row:?}");
    // The token was for one machine.
    let again = machine.run(&["enroll", "--console", &url, &token, "--config", &config]);
    assert!(again.status.success(), "the same machine may ask again");

    // What happens is told, and what goes is gone there, too.
    fs::write(machine.home("model.pkl"), POISON).unwrap();
    machine.until("the quarantine is told", || {
        console.count("SELECT COUNT(*) FROM events WHERE kind = 'action' AND body LIKE '%in quarantine%'") == 1
    });
    assert_eq!(console.paths(), std::slice::from_ref(&first));

    // Killed in the middle, and away for a while.
    console.process.kill().unwrap();
    console.process.wait().unwrap();
    let odd = machine.home("zweite\n'; DROP TABLE events; --.safetensors");
    fs::copy(weights(), &odd).unwrap();
    let odd = odd.display().to_string();
    machine.until("the daemon knows the second file", || machine.known().len() == 2);
    let address = console.address.clone();
    console = Console::start(&machine, &address);
    machine.until("the console knows the second file", || console.paths() == [first.clone(), odd.clone()]);
    let (all, distinct) =
        ("SELECT COUNT(*) FROM events", "SELECT COUNT(*) FROM (SELECT DISTINCT happened, body FROM events)");
    assert_eq!(console.count(all), console.count(distinct), "nothing twice");
    let waits = |status: &Value| status["status"]["record"]["outbox"]["events"].as_u64();
    machine.until("nothing waits any more", || waits(&machine.ask(&["status"])).is_none_or(|n| n == 0));

    // An order is carried out once; another machine's never arrives.
    let give = "INSERT INTO orders (id, endpoint, command, created, created_by, expires) \
                SELECT 'o1', id, '{\"do\": \"rescan\"}', 1, 'ann', 9000000000000000 FROM endpoints";
    console.rows(give);
    machine
        .until("the order is carried out", || console.count("SELECT COUNT(*) FROM orders WHERE outcome = 'done'") == 1);
    machine.until("the sweep is told", || {
        console.count("SELECT COUNT(*) FROM events WHERE body LIKE '%an order of the console%'") == 1
    });
    // Thrown out, it says so, and goes on with its work.
    console.rows("UPDATE endpoints SET status = 'revoked'");
    machine.until("the daemon says that it is out", || machine.said("the console does not hear from this machine"));
    fs::remove_file(machine.home("first.safetensors")).unwrap();
    machine.until("it goes on", || machine.known() == [odd.clone()]);
    assert_eq!(console.paths().len(), 2);
    machine.end();
}
