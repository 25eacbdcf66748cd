/**
 * The layers, each with a sentence saying what a break would mean.
 * @type {import('dependency-cruiser').IConfiguration}
 */
const only = (name, comment, to, from) => ({ name, severity: 'error', comment, from: { pathNot: [...from, '^test/', '^examples/', '^node_modules/'] }, to: { path: to } });

module.exports = {
  forbidden: [
    { name: 'ledger-stands-alone', severity: 'error', from: { path: '^ledger/' }, to: { path: '^src/' }, comment: 'An auditor reads, and a stranger reimplements, ledger/ alone: what it imports of src/ they would have to believe too.' },
    { name: 'ledger-needs-nothing', severity: 'error', from: { path: '^ledger/' }, to: { dependencyTypesNot: ['local', 'core'] }, comment: 'The verifier needs nothing (invariant 8): a package in it is a package to be trusted.' },
    { name: 'verification-has-no-network', severity: 'error', from: { path: '^(ledger|src/evidence|src/change|src/protocol|src/reports)/|^src/cli/(verif|report|who)' }, to: { path: '^(node:)?(net|http|https|http2|dgram|tls|dns)(/promises)?$' }, comment: 'Verification asks no service (invariant 8); code that cannot open a socket cannot ask. What else is loaded with it: test/evidence/no-network.test.ts.' },
    { name: 'verification-runs-nothing-itself', severity: 'error', from: { path: '^src/evidence/', pathNot: '^src/evidence/bundle-threads?\\.ts$' }, to: { path: '^node_modules/@open-policy-agent/|^(node:)?worker_threads$|^src/pdp/(pool|worker|evaluator|engine|replayer)\\.ts$', reachable: true }, comment: 'Recorded policy is run by a Replayer that comes in: what verifies can be read, and used in a browser, without anything that runs.' },
    { name: 'core-is-pure', severity: 'error', from: { path: '^src/change/' }, to: { pathNot: '^(src/(change|protocol)/|ledger/index\\.ts$|node_modules/zod)' }, comment: 'decide and evolve do no I/O: simulation and replay depend on it.' },
    { name: 'protocol-knows-nobody', severity: 'error', from: { path: '^src/protocol/' }, to: { pathNot: '^(src/protocol/|src/change/events\\.ts$|ledger/|node_modules/zod|node:)', dependencyTypesNot: ['core'] }, comment: 'Sidecar and executor share documents, not code paths: either may be replaced.' },
    { name: 'engine-declares-ports', severity: 'error', from: { path: '^src/engine/' }, to: { path: '^src/(transport|executor|connectors|sidecar|cli|console|client)/' }, comment: 'The engine runs under simulation: whatever it needs of the world comes in as a port.' },
    { name: 'executor-trusts-no-sidecar', severity: 'error', from: { path: '^src/(executor|connectors)/' }, to: { path: '^src/(sidecar|pdp|facts|console)/' }, comment: 'An executor checks proof; an import of the sidecar would be trust by another name.' },
    { name: 'caller-talks-to-nobody', severity: 'error', from: { path: '^src/caller/' }, to: { path: '^(node:)?(net|http|https|http2|dgram|tls|dns|child_process)(/promises)?$|^src/(sidecar|client|cli|transport|pdp|facts|notify|connectors|console)/' }, comment: 'What a run checks before its code runs, it checks by itself: code that can ask somebody could be told that all is well.' },
    { name: 'client-is-no-sidecar', severity: 'error', from: { path: '^src/client/' }, to: { path: '^src/(engine|executor|connectors|transport|pdp|facts|notify|cli|console)/' }, comment: 'The client is installed by others: it asks, checks and reports, and holds nothing that decides or acts for them.' },
    { name: 'connector-decides-nothing', severity: 'error', from: { path: '^src/connectors/' }, to: { path: '^src/(change|evidence|engine|transport)/' }, comment: 'A connector is told what to do by a worker that has checked; it knows neither changes nor records.' },
    { name: 'reports-tell-what-was-verified', severity: 'error', from: { path: '^src/reports/' }, to: { pathNot: '^(src/(reports|evidence|protocol|change)/|ledger/index\\.ts$|node_modules/zod)', dependencyTypesNot: ['core'] }, comment: 'A report is made of what a verification was told of, and of nothing else: no file, clock, network or service says anything in it.' },
    { name: 'reports-do-no-io', severity: 'error', from: { path: '^src/reports/' }, to: { dependencyTypes: ['core'] }, comment: 'Pure functions from facts to rows and from rows to text: what writes them to a file is the command.' },
    { name: 'witness-stands-alone', severity: 'error', from: { path: '^src/witness/' }, to: { pathNot: '^(src/witness/|ledger/index\\.ts$|node:)', dependencyTypesNot: ['core'] }, comment: 'A witness is run by those who need not trust the sidecar: what it imports of that, they would run.' },
    only('only-pdp-evaluates', 'One place meets the WASM runtime: its traps (strings thrown, no deadline) are handled there once.', '^node_modules/@open-policy-agent/', ['^src/pdp/']),
    only('only-the-door-speaks-http', 'Statuses and headers stay at the edge; inside, an outcome is a value.', '^node_modules/(hono|@hono)/', ['^src/(sidecar|console)/', '^src/cli/generate-docs\\.ts$']),
    only('only-a-connector-has-its-driver', 'A driver elsewhere would be a way round the executor.', '^node_modules/pg/', ['^src/connectors/postgres/']),
    only('only-the-console-signs-people-in', 'One place meets the OpenID client: sidecars verify tokens, and never ask for one.', '^node_modules/(openid-client|oauth4webapi)/', ['^src/console/']),
    only('only-metrics-meets-prometheus', 'What is counted, and under which names, is said in one place.', '^node_modules/prom-client/', ['^src/metrics/']),
    { name: 'metrics-decide-nothing', severity: 'error', from: { path: '^src/metrics/' }, to: { pathNot: '^(src/(metrics|change|protocol)/|node_modules/prom-client)', dependencyTypesNot: ['core', 'type-only'] }, comment: 'Whoever counts looks on: an import of what acts could come to be asked.' },
    only('only-identity-reads-tokens', 'Whose a token is, is said in one place, by the configuration: a verifier of tokens elsewhere would have rules of its own.', '^node_modules/jose/', ['^src/identity/']),
    only('only-webhook-signs', 'What leaves the house signed goes where addresses are checked.', '^node_modules/standardwebhooks/', ['^src/webhook/']),
    only('only-transport-nats-has-a-client', 'The bus is routing; code that needs it to be right is wrong.', '^node_modules/@nats-io/', ['^src/transport/nats/']),
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } }, comment: 'Data goes one way; so do imports.' },
    { name: 'production-does-not-import-tests', severity: 'error', from: { path: '^(src|ledger)/' }, to: { path: '^(test|examples)/', pathNot: '^examples/demo/main' }, comment: 'Demo- and test-only parts stay out of the production install.' },
    { name: 'pages-are-leaves', severity: 'error', from: { path: '^(src|ledger)/', pathNot: '^src/(verifier|approver|console/browser)/' }, to: { path: '^src/(verifier|approver|console/browser)/' }, comment: 'A page is built of the sources, and nothing of them of it: it is written for a place that has no node.' },
    { name: 'verifier-page-has-no-side', severity: 'error', from: { path: '^src/verifier/' }, to: { path: '^src/', pathNot: '^src/(verifier|evidence|protocol|change)/|^src/(version|cli/output)\\.ts$' }, comment: 'What an auditor opens holds what verifies and nothing that decides, acts or asks.' },
    { name: 'approver-page-has-no-side', severity: 'error', from: { path: '^src/approver/' }, to: { path: '^src/', pathNot: '^src/(approver|protocol|change|facts)/|^src/cli/(output|describe|shown-plan|shown-statement|shown-proposal|shown-entry)\\.ts$', dependencyTypesNot: ['type-only'] }, comment: 'What an approver signs by holds what shows a plan and computes its digest, and nothing that decides.' },
    { name: 'console-has-no-side', severity: 'error', from: { path: '^src/console/', pathNot: '^src/console/browser/' }, to: { path: '^src/', pathNot: '^src/(console|client|protocol|config)/|^src/(evidence/story|identity/private-file|sidecar/(listen|schemas|default-policy)|cli/(describe|output|shown-template))\\.ts$', dependencyTypesNot: ['type-only'] }, comment: 'The console asks over the public API what its reader could ask: code that decides, records or acts would give it an authority.' },
    { name: 'console-islands-have-no-side', severity: 'error', from: { path: '^src/console/browser/' }, to: { path: '^src/', pathNot: '^src/console/browser/|^src/approver/passkey\\.ts$|^src/protocol/|^src/change/|^src/cli/(output|describe|shown-plan|shown-statement)\\.ts$', dependencyTypesNot: ['type-only'] }, comment: 'What an approver signs by in a page of the console holds what shows a plan and computes its digest, and nothing that decides.' },
    { name: 'no-dev-dependency-in-production', severity: 'error', from: { path: '^(src|ledger)/', pathNot: '^src/(verifier/|approver/|console/browser/|sidecar/build\\.mjs$)' }, to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] }, comment: 'What is not in the production install cannot be imported by it.' },
    { name: 'nothing-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true, pathNot: '^countersign:template$' }, comment: 'An import that resolves nowhere fails at start.' },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: 'specify',
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'], extensions: ['.ts', '.tsx', '.js'] },
  },
};
