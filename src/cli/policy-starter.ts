/** What `countersign policy init` writes beside the baseline. `TEAM` and `VERSION` are filled in. */

export const STARTER: Readonly<Record<string, string>> = {
  'policy/overlays/TEAM/TEAM.rego': `# METADATA
# title: What TEAM adds
# description: |
#   Objections of TEAM's own. They tighten what the baseline decides, and cannot loosen it: of an overlay nothing but \`deny\` is heard.
package overlays.TEAM

import data.access.question
import data.lib

# METADATA
# title: A third party's credential without a backup owner
# description: What is in a third party's hands has a backup owner, who can take it back while the owner is away.
# custom:
#   code: third-party-needs-backup-owner
#   message: "{subject} is in the hands of a third party and has no backup owner."
#   solution: Name a backup owner in the inventory.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI3}
#     - {framework: NIST SP 800-53 r5, id: AC-2}
deny contains lib.said(rego.metadata.chain()) if {
	question.gives_access
	input.facts.nhi.custody == "thirdParty"
	not backed_up
}

# State what must hold, and negate it: what is missing then denies.
backed_up if startswith(input.facts.nhi.backupOwner, "person:")
`,
  'policy/overlays/TEAM/TEAM_test.rego': `package overlays.TEAM_test

import data.access
import data.checks.fixture
import data.overlays.TEAM

third_party(part) := fixture.knowing({"nhi": object.union({"custody": "thirdParty"}, part)})

test_a_third_party_without_a_backup_owner_is_denied if {
	fixture.codes(TEAM.deny) == {"third-party-needs-backup-owner"} with input as third_party({"backupOwner": null})
}

test_a_third_party_with_one_is_not if {
	count(TEAM.deny) == 0 with input as third_party({})
}

test_others_need_none if {
	count(TEAM.deny) == 0 with input as fixture.knowing({"nhi": {"backupOwner": null}})
}

test_the_decision_is_a_denial if {
	access.decide.effect == "deny" with input as third_party({"backupOwner": null})
	access.decide.effect == "needsApproval" with input as third_party({})
}
`,
  '.github/workflows/policy.yml': `name: policy
on: [push, pull_request]
permissions:
  contents: read
jobs:
  policy:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-node@v4
        with: {node-version: 22}
      - uses: open-policy-agent/setup-opa@v2
        with: {version: OPA_VERSION}
      - run: npx --yes countersign@VERSION policy lint
      - run: npx --yes countersign@VERSION policy test
      - run: npx --yes countersign@VERSION policy build
      - uses: actions/upload-artifact@v4
        with: {name: policy-bundle, path: policy/bundle}
`,
  '.gitignore': `# Built, and signed where the key is: by whoever reviews policy, not here.
policy/bundle/
policy/bundle.new/
*.key
`,
  'README.md': `# Access policy

What machine identities may be given, and who must approve it, as Rego that [Countersign](https://www.npmjs.com/package/countersign) runs.

| folder | what it is |
|---|---|
| \`policy/access\`, \`policy/workflow\`, \`policy/lib\` | the baseline, as it came with Countersign VERSION |
| \`policy/data/limits.yaml\` | the numbers that it decides by: yours to set |
| \`policy/overlays/TEAM\` | objections of your own: they tighten the baseline and cannot loosen it |
| \`policy/controls/frameworks.yaml\` | the control ids that a rule may name |
| \`policy/schemas\` | what the sidecar asks, and which limits there are: a rule that reads anything else is an error. A limit of your own is a line in \`limits.json\` too |
| \`policy/checks\`, \`policy/testcases\` | what tests start from, and questions with the answers that are expected |

## Working on it

\`\`\`sh
npx countersign policy lint      # what is wrong with the rules; needs no opa
npx countersign policy test      # format, types, unit tests, 100 % coverage, and all of it again compiled
npx countersign policy build     # policy/bundle
\`\`\`

\`opa\` OPA_VERSION compiles: from the PATH, else by \`go run\`, else by \`docker\`. To see what a change would do before it is in force:

\`\`\`sh
npx countersign policy simulate --all --facts FACTS                        # your whole inventory
npx countersign policy diff OLD-BUNDLE policy/bundle --ledger LEDGER       # what was decided already
\`\`\`

## Putting it in force

\`\`\`sh
npx countersign policy sign --key policy.key policy/bundle
\`\`\`

The key belongs with whoever reviews policy, not in this repository and not on the sidecar's host. Copy \`policy/bundle\` to where the sidecar's \`policy\` points, and start it again. A sidecar whose trust folder names policy signers runs nothing that they have not signed.

## A newer baseline

\`npx countersign@NEW policy init FOLDER\` writes it to another folder. Copy \`access\`, \`workflow\`, \`lib\`, \`checks\`, \`controls\`, \`schemas\`, \`testcases\` and \`capabilities.json\` over those here, look at what changed in \`limits.yaml\`, and read the diff.
`,
};
