/** `countersign inventory`: what machine identities there are, and what is amiss with what is known of them. */
import type { Command } from 'commander';
import { withConnection } from './connect.ts';
import { importInventory } from './inventory-import.ts';
import { lint } from './inventory-lint.ts';
import { usage } from './inventory-usage.ts';
import { discover } from './reconcile.ts';
import type { Runner } from './runner.ts';

export function addInventory(program: Command, run: Runner): void {
  const inventory = program.command('inventory').description('what there is');
  withConnection(inventory.command('discover'))
    .description('list what was there when the targets were last looked at')
    .option('--connector <id>', 'this one; otherwise all')
    .action(run(discover));
  const each = (value: string, before: readonly string[] = []): string[] => [...before, value];
  inventory
    .command('import')
    .description('put the identities of a CSV file into an inventory file')
    .argument('<file>', 'CSV with a header')
    .option('--into <file>', 'the inventory; it is made where there is none', 'facts/inventory.yaml')
    .option('--map <column=field>', 'what a column means that is called otherwise; column=- leaves it out; again for each', each)
    .option('--default <field=value>', 'what a new identity has where its row says nothing; again for each', each)
    .option('--update', 'rows about identities that are there change them')
    .option('--skip-bad', 'take the good rows and list the others; otherwise one bad row keeps out all')
    .option('--dry-run', 'say what would come of it, and write nothing')
    .addHelpText('after', '\nColumns: id, description, owner, backupOwner, environment, purposes (a;b), riskTier, custody, humanUse (true or false), thirdParty, consumers (a;b), accounts (connector=account;…).')
    .action(run(importInventory));
  inventory
    .command('lint')
    .description('say what is amiss with what is known of the identities, why it matters and what to do')
    .argument('[files...]', 'facts files by name, such as facts/*.yaml; otherwise those of the configuration')
    .option('--config <file>', 'countersign.yaml of the installation (default: ./countersign.yaml)')
    .option('--fail-on <level>', 'the least level that exits 1: low, medium or high', 'low')
    .option('--all', 'list every finding, and not the first of each kind')
    .action(run(lint));
  inventory
    .command('usage')
    .description('put what a query at a PostgreSQL server says was used into a usage file')
    .requiredOption('--postgres <file>', 'holds postgresql://user:password@host:port/database; readable by its owner alone')
    .requiredOption('--query <file>', 'one query of SQL, of the columns below')
    .option('--into <file>', 'the usage file; it is replaced whole', 'facts/usage.yaml')
    .option('--connector <id>', 'of rows that name none')
    .option('--inventory <file>', 'where a row’s nhi is looked up')
    .option('--dry-run', 'say what would come of it, and write nothing')
    .addHelpText('after', '\nColumns: account or nhi; privilege (null: looked at, and used nothing); connector, unless --connector names it; lastUsedAt (timestamptz), where it is known.')
    .action(run(usage));
}
