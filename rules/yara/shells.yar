// Commands that open a shell to somebody else, or fetch and run code.

rule reverse_shell_command {
  meta:
    description = "a command that opens a shell to another machine"
    severity = "critical"
    verdict = "malicious"
    why = "Most malicious models found on public hubs so far carried one of these lines."
    false_positives = "Text about security, such as a tokenizer trained on it: look at where it stands."
    reference = "https://jfrog.com/blog/data-scientists-targeted-by-malicious-hugging-face-ml-models-with-silent-backdoor/"
  strings:
    $bash = /(bash|sh|zsh) -i\s{0,3}(>|>>)\s{0,3}&\s{0,3}\/dev\/(tcp|udp)\/[\w.\-]{3,80}\/\d{1,5}/
    $exec = /exec \d{1,3}<>\/dev\/tcp\/[\w.\-]{3,80}\/\d{1,5}/
    $nc = /\b(nc|ncat|netcat)(\.exe)? (-[a-z]{1,6} )*[\w.\-]{3,80} \d{1,5} (-e|-c) \/?[\w\/]{2,30}/
    $nc2 = /\b(nc|ncat|netcat) -[a-z]{0,4}e[a-z]{0,4} \/bin\/(ba|z|da)?sh/
    $mkfifo = /mkfifo \/tmp\/\w{1,20}\s{0,3};.{0,80}\|\s{0,3}(nc|telnet|openssl)/
    $dup2 = /os\.dup2\(\w{1,20}\.fileno\(\),\s{0,3}[012]\)/
    $pty = "pty.spawn(\"/bin/"
    $perl = /perl -e ['"]use Socket;/
    $php = /php -r ['"]\$sock=fsockopen\(/
  condition:
    any of them
}

rule fetch_and_run_command {
  meta:
    description = "a command that fetches code and runs it"
    severity = "high"
    verdict = "malicious"
    why = "Droppers keep the payload elsewhere and change it at will."
    false_positives = "Installation instructions in documentation inside the artifact."
    reference = "https://attack.mitre.org/techniques/T1105/"
  strings:
    $pipe = /\b(curl|wget) [^\n|;&]{3,200}\|\s{0,3}(sudo )?(ba|z|da)?sh\b/
    $chmod = /\b(curl|wget) [^\n]{3,200}(&&|;)\s{0,3}chmod \+x [^\n]{1,80}(&&|;)/
    $ps1 = /powershell(\.exe)? [^\n]{0,120}(DownloadString|DownloadFile|Invoke-WebRequest|iwr |-enc(odedcommand)? )/ nocase
    $mshta = /mshta(\.exe)? https?:\/\//
    $certutil = /certutil(\.exe)? [^\n]{0,40}-urlcache/ nocase
  condition:
    any of them
}

rule python_decode_and_run {
  meta:
    description = "Python that decodes a hidden text and runs it"
    severity = "critical"
    verdict = "malicious"
    why = "The code that runs is not the code that can be read."
    false_positives = "None seen in model files."
    reference = "https://attack.mitre.org/techniques/T1140/"
  strings:
    $b64 = /exec\(\s{0,3}(__import__\(['"]base64['"]\)|base64)\.b64decode\(/
    $zlib = /exec\(\s{0,3}(__import__\(['"]zlib['"]\)|zlib)\.decompress\(/
    $marshal = /exec\(\s{0,3}(__import__\(['"]marshal['"]\)|marshal)\.loads\(/
    $hex = /exec\(\s{0,3}bytes\.fromhex\(/
    $sys = /__import__\(['"](os|subprocess|pty)['"]\)\.(system|popen|Popen|call|run|check_output|spawn)\(/
  condition:
    any of them
}

rule shellcode_marks {
  meta:
    description = "machine code of a well-known payload"
    severity = "high"
    verdict = "malicious"
    why = "The first bytes of common reverse-shell and loader payloads."
    false_positives = "Chance in high-entropy data is below one in 2^60."
    reference = "https://attack.mitre.org/techniques/T1620/"
  strings:
    $msf64 = { FC 48 83 E4 F0 E8 C0 00 00 00 41 51 41 50 52 51 }
    $msf32 = { FC E8 ( 82 | 89 | 8F ) 00 00 00 60 89 E5 31 ( C0 | D2 ) 64 8B }
    $execve64 = { 48 31 ( D2 | F6 ) [0-8] 48 BB 2F ( 2F | 62 ) 62 69 6E 2F ( 2F | 73 ) 73 68 }
    $connect64 = { 6A 29 58 99 6A 02 5F 6A 01 5E 0F 05 }
  condition:
    any of them
}
