use weighbridge_policy::Problem;

/// Prints `problems` with the lines they are about, to standard error.
pub fn show(problems: &[Problem]) {
    let theme = if anstream::AutoStream::choice(&std::io::stderr()) == anstream::ColorChoice::Never {
        miette::GraphicalTheme::unicode_nocolor()
    } else {
        miette::GraphicalTheme::unicode()
    };
    let handler = miette::GraphicalReportHandler::new_themed(theme).with_links(false);
    for problem in problems {
        let mut text = String::new();
        if handler.render_report(&mut text, problem).is_err() {
            text = problem.to_string();
        }
        anstream::eprintln!("{}", text.trim_end());
    }
}
