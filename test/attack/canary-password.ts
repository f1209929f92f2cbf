/** What the canary logs in with where there is authentication. */
export const CANARY_PASSWORD = 'tweet';
