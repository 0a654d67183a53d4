// Programs hidden in model files. Tensor data is searched only under --deep.

rule embedded_windows_program {
  meta:
    description = "a Windows program is embedded"
    severity = "medium"
    verdict = "suspicious"
    why = "Weights have no use for a program; droppers carry their payload this way."
    false_positives = "Archives that ship a runtime beside the weights."
    reference = "https://attack.mitre.org/techniques/T1027/009/"
  strings:
    $dos = "This program cannot be run in DOS mode"
    $pe = { 50 45 00 00 ( 4C 01 | 64 86 | 64 AA ) }
  condition:
    $dos and $pe
}

rule embedded_linux_program {
  meta:
    description = "a Linux program or library is embedded"
    severity = "medium"
    verdict = "suspicious"
    why = "Weights have no use for a program; droppers carry their payload this way."
    false_positives = "Archives that ship compiled operators, such as AOTInductor packages."
    reference = "https://attack.mitre.org/techniques/T1027/009/"
  strings:
    $elf = { 7F 45 4C 46 ( 01 | 02 ) ( 01 | 02 ) 01 ( 00 | 03 ) ?? 00 00 00 00 00 00 00 ( 02 | 03 ) 00 ( 03 | 28 | 3E | B7 | F3 ) 00 01 00 00 00 }
  condition:
    $elf
}

rule packed_program {
  meta:
    description = "a packed program is embedded"
    severity = "high"
    verdict = "malicious"
    why = "Packers hide what a program does from scanners."
    false_positives = "None seen in model files."
    reference = "https://attack.mitre.org/techniques/T1027/002/"
  strings:
    $upx = "UPX!"
    $upx0 = "UPX0\x00\x00\x00\x00"
    $upx1 = "UPX1\x00\x00\x00\x00"
    $notice = "$Info: This file is packed with the UPX executable packer"
  condition:
    ($upx and $upx0 and $upx1) or $notice
}
