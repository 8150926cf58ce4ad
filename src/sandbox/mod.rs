//! Pretends to be Microsoft Graph's presence service, from its documentation. It uses nothing of the project but
//! the time type, so that it cannot share the keeper's mistakes.
