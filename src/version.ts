/** The version of this build: in the ledger at each start, in the API's description, and what the CLI says. A test holds it to package.json. */
export const VERSION = '0.1.0';
