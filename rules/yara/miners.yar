rule cryptocurrency_miner {
  meta:
    description = "configuration or code of a cryptocurrency miner"
    severity = "high"
    verdict = "malicious"
    why = "Compromised AI packages and node collections were used to mine on the victims' GPUs."
    false_positives = "Text about mining."
    reference = "https://attack.mitre.org/techniques/T1496/"
  strings:
    $stratum = /stratum\+(tcp|ssl|tls):\/\/[\w.\-]{4,80}:\d{2,5}/
    $xmrig = "xmrig" nocase
    $donate = "donate-level"
    $randomx = "randomx" nocase
    $pool = /(pool\.(minexmr|supportxmr|hashvault)|xmrpool|nanopool|moneroocean)\.(com|pro|eu|org|stream)/
  condition:
    $stratum or ($xmrig and ($donate or $randomx or $pool))
}
