"""What others sign and verify with: OpenSSF Model Signing, DSSE, Sigstore bundles and trusted roots.

dsse          a signed envelope (DSSE v1)
bundle        a Sigstore bundle v0.3: a signature, its signer and its log entry in one file
oms           the statement that OpenSSF Model Signing signs
oms_record    such a signature as an archive keeps it
verify        who vouches for it, or for a sidecar
trusted_root  Atlas's trust root as Sigstore's clients read it
"""
