use clap::Args;
use weighbridge_policy::{Action, Mode};

/// Who asks for what, on the command line.
#[derive(Debug, Clone, Args)]
pub struct RequestOptions {
    /// What is to be done with the model
    #[arg(long, value_name = "ACTION", value_parser = action, default_value = "store")]
    pub action: Action,

    /// Who: a person [default: this machine]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// Groups that the user is in, beyond those in the repository
    #[arg(long, value_name = "NAME", requires = "user")]
    pub group: Vec<String>,

    /// Team of this machine, whose mode counts
    #[arg(long, value_name = "NAME")]
    pub team: Option<String>,

    /// Decide in this mode instead of the team's
    #[arg(long, value_name = "MODE", value_parser = mode)]
    pub mode: Option<Mode>,
}

pub fn action(text: &str) -> Result<Action, String> {
    let models = |a: &Action| !matches!(a, Action::RouteToProvider | Action::UseGpu);
    let known: Vec<&str> = Action::ALL.iter().filter(|a| models(a)).map(|a| a.name()).collect();
    let found = Action::ALL.into_iter().find(|a| a.name() == text && models(a));
    found.ok_or_else(|| format!("known are {}", known.join(", ")))
}

fn mode(text: &str) -> Result<Mode, String> {
    let all = [Mode::Observe, Mode::Guard, Mode::Lockdown];
    all.into_iter().find(|m| m.name() == text).ok_or_else(|| "known are observe, guard, lockdown".to_owned())
}
