import { ACTIONS, testReceiver } from '../support/webhook-target.ts';
import { connectorConformance } from '../conformance/connector.ts';

connectorConformance('the webhook protocol', ACTIONS, () => testReceiver());
