// Marks of incidents that were published.

rule incident_hub_reverse_shells {
  meta:
    description = "address used by malicious models found on a public hub in 2024 and 2025"
    severity = "critical"
    verdict = "malicious"
    why = "These addresses stood in the payloads of baller423/goober2, star23/baller13 and the nullifAI models."
    false_positives = "Lists of such addresses in security data."
    reference = "https://jfrog.com/blog/data-scientists-targeted-by-malicious-hugging-face-ml-models-with-silent-backdoor/"
    reference = "https://www.reversinglabs.com/blog/rl-identifies-malware-ml-model-hosted-on-hugging-face"
  strings:
    $a = "210.117.212.93"
    $b = "136.243.156.120"
    $c = "107.173.7.141"
  condition:
    any of them
}

rule incident_fake_privacy_filter {
  meta:
    description = "marks of the Open-OSS/privacy-filter campaign of May 2026"
    severity = "critical"
    verdict = "malicious"
    why = "A look-alike of a well-known repository ran loader.py and start.bat to install an information stealer."
    false_positives = "Reports about the campaign."
    reference = "https://attack.mitre.org/techniques/T1195/"
  strings:
    $a = "recargapopular.com"
    $b = "Open-OSS/privacy-filter"
  condition:
    $a or ($b and filesize < 1MB)
}

rule incident_litellm_2026 {
  meta:
    description = "marks of the LiteLLM package compromise of March 2026"
    severity = "critical"
    verdict = "malicious"
    why = "A .pth file in two releases stole credentials and installed itself."
    false_positives = "Reports about the incident."
    reference = "https://attack.mitre.org/techniques/T1195/002/"
  strings:
    $a = "models.litellm.cloud"
    $b = "tpcp.tar.gz"
    $c = "session.key.enc"
  condition:
    $a or ($b and $c)
}
