type Json = Readonly<Record<string, unknown>>;
export function breaksOfSchema(was: Json, is: Json, direction: 'in' | 'out', documents: { readonly was: Json; readonly is: Json }, at: string): string[];
export function breaksOfOpenApi(was: Json, is: Json): string[];
export function breaksOfAsyncApi(was: Json, is: Json): string[];
