// Sums the runners' own counts and prints them as the last line. A step that failed without a failed test counts as one failure.
// What failed is named right before it: of a long log, the end is what is kept.
import { readdirSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';

/** Of what a failed test said: enough to know which check it was. */
const MESSAGE_LINES = 12;

const [failedSteps = '0', ...steps] = process.argv.slice(2);
let passed = 0;
let failed = 0;
const directory = new URL('../.cache/results/', import.meta.url);
const results = readdirSync(directory).filter((name) => name.endsWith('.json'));
for (const name of results) {
  const result = JSON.parse(readFileSync(new URL(name, directory), 'utf8'));
  passed += result.numPassedTests;
  failed += result.numFailedTests + (result.numFailedTestSuites > 0 && result.numFailedTests === 0 ? 1 : 0);
  for (const file of result.testResults) {
    const tests = file.assertionResults.filter(({ status }) => status === 'failed').map(({ fullName, failureMessages }) => [fullName, failureMessages.join('\n')]);
    if (file.status === 'failed' && tests.length === 0) tests.push(['(the file itself)', file.message]);
    for (const [title, message] of tests) {
      console.log(`failed (${name}): ${relative(process.cwd(), file.name)} > ${title}`);
      console.log(message.split('\n').filter((line) => !line.includes('/node_modules/')).slice(0, MESSAGE_LINES).map((line) => `    ${line.slice(0, 400)}`).join('\n'));
    }
  }
  // A skipped test is a component that could not be had: on CI that is a failure.
  const skipped = result.numPendingTests + result.numTodoTests;
  if (skipped > 0) {
    console.log(`${name}: ${skipped} tests were skipped, which CI does not accept`);
    for (const file of result.testResults) {
      for (const { fullName, status } of file.assertionResults) {
        if (status !== 'passed' && status !== 'failed') console.log(`${status} (${name}): ${relative(process.cwd(), file.name)} > ${fullName}`);
      }
    }
    failed += skipped;
  }
}
if (results.length < 2) failed += 1;
for (const step of steps) console.log(`failed step: ${step}`);
if (Number(failedSteps) > 0 && failed === 0) failed = Number(failedSteps);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
