/* Written by h2_name.py beside it: the static table of RFC 7541, appendix A, and names by number. */
enum mf_h2_name {
    MF_H2_NAME_OTHER,
    MF_H2_NAME_PSEUDO_AUTHORITY,
    MF_H2_NAME_PSEUDO_METHOD,
    MF_H2_NAME_PSEUDO_PATH,
    MF_H2_NAME_PSEUDO_SCHEME,
    MF_H2_NAME_PSEUDO_STATUS,
    MF_H2_NAME_ACCEPT_CHARSET,
    MF_H2_NAME_ACCEPT_ENCODING,
    MF_H2_NAME_ACCEPT_LANGUAGE,
    MF_H2_NAME_ACCEPT_RANGES,
    MF_H2_NAME_ACCEPT,
    MF_H2_NAME_ACCESS_CONTROL_ALLOW_ORIGIN,
    MF_H2_NAME_AGE,
    MF_H2_NAME_ALLOW,
    MF_H2_NAME_AUTHORIZATION,
    MF_H2_NAME_CACHE_CONTROL,
    MF_H2_NAME_CONTENT_DISPOSITION,
    MF_H2_NAME_CONTENT_ENCODING,
    MF_H2_NAME_CONTENT_LANGUAGE,
    MF_H2_NAME_CONTENT_LENGTH,
    MF_H2_NAME_CONTENT_LOCATION,
    MF_H2_NAME_CONTENT_RANGE,
    MF_H2_NAME_CONTENT_TYPE,
    MF_H2_NAME_COOKIE,
    MF_H2_NAME_DATE,
    MF_H2_NAME_ETAG,
    MF_H2_NAME_EXPECT,
    MF_H2_NAME_EXPIRES,
    MF_H2_NAME_FROM,
    MF_H2_NAME_HOST,
    MF_H2_NAME_IF_MATCH,
    MF_H2_NAME_IF_MODIFIED_SINCE,
    MF_H2_NAME_IF_NONE_MATCH,
    MF_H2_NAME_IF_RANGE,
    MF_H2_NAME_IF_UNMODIFIED_SINCE,
    MF_H2_NAME_LAST_MODIFIED,
    MF_H2_NAME_LINK,
    MF_H2_NAME_LOCATION,
    MF_H2_NAME_MAX_FORWARDS,
    MF_H2_NAME_PROXY_AUTHENTICATE,
    MF_H2_NAME_PROXY_AUTHORIZATION,
    MF_H2_NAME_RANGE,
    MF_H2_NAME_REFERER,
    MF_H2_NAME_REFRESH,
    MF_H2_NAME_RETRY_AFTER,
    MF_H2_NAME_SERVER,
    MF_H2_NAME_SET_COOKIE,
    MF_H2_NAME_STRICT_TRANSPORT_SECURITY,
    MF_H2_NAME_TRANSFER_ENCODING,
    MF_H2_NAME_USER_AGENT,
    MF_H2_NAME_VARY,
    MF_H2_NAME_VIA,
    MF_H2_NAME_WWW_AUTHENTICATE,
    MF_H2_NAME_CONNECTION,
    MF_H2_NAME_KEEP_ALIVE,
    MF_H2_NAME_PROXY_CONNECTION,
    MF_H2_NAME_UPGRADE,
    MF_H2_NAME_TE,
    MF_H2_NAME_TRAILER,
    MF_H2_NAME_PRIORITY,
    MF_H2_NAME_GRPC_STATUS,
    MF_H2_NAME_GRPC_MESSAGE,
    MF_H2_NAME_GRPC_STATUS_DETAILS_BIN,
    MF_H2_NAME_GRPC_TIMEOUT,
    MF_H2_NAME_GRPC_ENCODING,
    MF_H2_NAME_GRPC_ACCEPT_ENCODING,
    MF_H2_NAME_TRI_SERVICE_VERSION,
    MF_H2_NAME_TRI_SERVICE_GROUP,
    MF_H2_NAME_TRI_SERVICE_TIMEOUT,
    MF_H2_NAME_TRI_CONSUMER_APPNAME,
    MF_H2_NAME_TRI_HEADER_CONVERT,
    MF_H2_NAME_TRI_EXCEPTION_CODE,
    MF_H2_NAME_BAGGAGE,
    MF_H2_NAME_TRACEPARENT,
    MF_H2_NAME_TRACESTATE,
    MF_H2_NAME_X_REQUEST_ID,
    MF_H2_NAME_X_B3_TRACEID,
    MF_H2_NAME_X_B3_SPANID,
    MF_H2_NAME_B3,
    MF_H2_NAME_SW8,
    MF_H2_NAME_EAGLEEYE_TRACEID,
    MF_H2_NAME_COUNT,
};

/* X(number, name, its first index in the static table or 0, for one connection, changes, secret) */
#define MF_H2_NAME_LIST(X) \
    X(MF_H2_NAME_PSEUDO_AUTHORITY, ":authority", 1, 0, 0, 0) \
    X(MF_H2_NAME_PSEUDO_METHOD, ":method", 2, 0, 0, 0) \
    X(MF_H2_NAME_PSEUDO_PATH, ":path", 4, 0, 0, 0) \
    X(MF_H2_NAME_PSEUDO_SCHEME, ":scheme", 6, 0, 0, 0) \
    X(MF_H2_NAME_PSEUDO_STATUS, ":status", 8, 0, 0, 0) \
    X(MF_H2_NAME_ACCEPT_CHARSET, "accept-charset", 15, 0, 0, 0) \
    X(MF_H2_NAME_ACCEPT_ENCODING, "accept-encoding", 16, 0, 0, 0) \
    X(MF_H2_NAME_ACCEPT_LANGUAGE, "accept-language", 17, 0, 0, 0) \
    X(MF_H2_NAME_ACCEPT_RANGES, "accept-ranges", 18, 0, 0, 0) \
    X(MF_H2_NAME_ACCEPT, "accept", 19, 0, 0, 0) \
    X(MF_H2_NAME_ACCESS_CONTROL_ALLOW_ORIGIN, "access-control-allow-origin", 20, 0, 0, 0) \
    X(MF_H2_NAME_AGE, "age", 21, 0, 1, 0) \
    X(MF_H2_NAME_ALLOW, "allow", 22, 0, 0, 0) \
    X(MF_H2_NAME_AUTHORIZATION, "authorization", 23, 0, 0, 1) \
    X(MF_H2_NAME_CACHE_CONTROL, "cache-control", 24, 0, 0, 0) \
    X(MF_H2_NAME_CONTENT_DISPOSITION, "content-disposition", 25, 0, 0, 0) \
    X(MF_H2_NAME_CONTENT_ENCODING, "content-encoding", 26, 0, 0, 0) \
    X(MF_H2_NAME_CONTENT_LANGUAGE, "content-language", 27, 0, 0, 0) \
    X(MF_H2_NAME_CONTENT_LENGTH, "content-length", 28, 0, 1, 0) \
    X(MF_H2_NAME_CONTENT_LOCATION, "content-location", 29, 0, 0, 0) \
    X(MF_H2_NAME_CONTENT_RANGE, "content-range", 30, 0, 1, 0) \
    X(MF_H2_NAME_CONTENT_TYPE, "content-type", 31, 0, 0, 0) \
    X(MF_H2_NAME_COOKIE, "cookie", 32, 0, 0, 0) \
    X(MF_H2_NAME_DATE, "date", 33, 0, 1, 0) \
    X(MF_H2_NAME_ETAG, "etag", 34, 0, 1, 0) \
    X(MF_H2_NAME_EXPECT, "expect", 35, 0, 0, 0) \
    X(MF_H2_NAME_EXPIRES, "expires", 36, 0, 1, 0) \
    X(MF_H2_NAME_FROM, "from", 37, 0, 0, 0) \
    X(MF_H2_NAME_HOST, "host", 38, 0, 0, 0) \
    X(MF_H2_NAME_IF_MATCH, "if-match", 39, 0, 0, 0) \
    X(MF_H2_NAME_IF_MODIFIED_SINCE, "if-modified-since", 40, 0, 1, 0) \
    X(MF_H2_NAME_IF_NONE_MATCH, "if-none-match", 41, 0, 1, 0) \
    X(MF_H2_NAME_IF_RANGE, "if-range", 42, 0, 0, 0) \
    X(MF_H2_NAME_IF_UNMODIFIED_SINCE, "if-unmodified-since", 43, 0, 0, 0) \
    X(MF_H2_NAME_LAST_MODIFIED, "last-modified", 44, 0, 1, 0) \
    X(MF_H2_NAME_LINK, "link", 45, 0, 0, 0) \
    X(MF_H2_NAME_LOCATION, "location", 46, 0, 1, 0) \
    X(MF_H2_NAME_MAX_FORWARDS, "max-forwards", 47, 0, 0, 0) \
    X(MF_H2_NAME_PROXY_AUTHENTICATE, "proxy-authenticate", 48, 0, 0, 0) \
    X(MF_H2_NAME_PROXY_AUTHORIZATION, "proxy-authorization", 49, 0, 0, 1) \
    X(MF_H2_NAME_RANGE, "range", 50, 0, 1, 0) \
    X(MF_H2_NAME_REFERER, "referer", 51, 0, 0, 0) \
    X(MF_H2_NAME_REFRESH, "refresh", 52, 0, 0, 0) \
    X(MF_H2_NAME_RETRY_AFTER, "retry-after", 53, 0, 0, 0) \
    X(MF_H2_NAME_SERVER, "server", 54, 0, 0, 0) \
    X(MF_H2_NAME_SET_COOKIE, "set-cookie", 55, 0, 0, 0) \
    X(MF_H2_NAME_STRICT_TRANSPORT_SECURITY, "strict-transport-security", 56, 0, 0, 0) \
    X(MF_H2_NAME_TRANSFER_ENCODING, "transfer-encoding", 57, 1, 0, 0) \
    X(MF_H2_NAME_USER_AGENT, "user-agent", 58, 0, 0, 0) \
    X(MF_H2_NAME_VARY, "vary", 59, 0, 0, 0) \
    X(MF_H2_NAME_VIA, "via", 60, 0, 0, 0) \
    X(MF_H2_NAME_WWW_AUTHENTICATE, "www-authenticate", 61, 0, 0, 0) \
    X(MF_H2_NAME_CONNECTION, "connection", 0, 1, 0, 0) \
    X(MF_H2_NAME_KEEP_ALIVE, "keep-alive", 0, 1, 0, 0) \
    X(MF_H2_NAME_PROXY_CONNECTION, "proxy-connection", 0, 1, 0, 0) \
    X(MF_H2_NAME_UPGRADE, "upgrade", 0, 1, 0, 0) \
    X(MF_H2_NAME_TE, "te", 0, 0, 0, 0) \
    X(MF_H2_NAME_TRAILER, "trailer", 0, 0, 0, 0) \
    X(MF_H2_NAME_PRIORITY, "priority", 0, 0, 0, 0) \
    X(MF_H2_NAME_GRPC_STATUS, "grpc-status", 0, 0, 0, 0) \
    X(MF_H2_NAME_GRPC_MESSAGE, "grpc-message", 0, 0, 1, 0) \
    X(MF_H2_NAME_GRPC_STATUS_DETAILS_BIN, "grpc-status-details-bin", 0, 0, 1, 0) \
    X(MF_H2_NAME_GRPC_TIMEOUT, "grpc-timeout", 0, 0, 1, 0) \
    X(MF_H2_NAME_GRPC_ENCODING, "grpc-encoding", 0, 0, 0, 0) \
    X(MF_H2_NAME_GRPC_ACCEPT_ENCODING, "grpc-accept-encoding", 0, 0, 0, 0) \
    X(MF_H2_NAME_TRI_SERVICE_VERSION, "tri-service-version", 0, 0, 0, 0) \
    X(MF_H2_NAME_TRI_SERVICE_GROUP, "tri-service-group", 0, 0, 0, 0) \
    X(MF_H2_NAME_TRI_SERVICE_TIMEOUT, "tri-service-timeout", 0, 0, 1, 0) \
    X(MF_H2_NAME_TRI_CONSUMER_APPNAME, "tri-consumer-appname", 0, 0, 0, 0) \
    X(MF_H2_NAME_TRI_HEADER_CONVERT, "tri-header-convert", 0, 0, 0, 0) \
    X(MF_H2_NAME_TRI_EXCEPTION_CODE, "tri-exception-code", 0, 0, 1, 0) \
    X(MF_H2_NAME_BAGGAGE, "baggage", 0, 0, 1, 0) \
    X(MF_H2_NAME_TRACEPARENT, "traceparent", 0, 0, 1, 0) \
    X(MF_H2_NAME_TRACESTATE, "tracestate", 0, 0, 1, 0) \
    X(MF_H2_NAME_X_REQUEST_ID, "x-request-id", 0, 0, 1, 0) \
    X(MF_H2_NAME_X_B3_TRACEID, "x-b3-traceid", 0, 0, 1, 0) \
    X(MF_H2_NAME_X_B3_SPANID, "x-b3-spanid", 0, 0, 1, 0) \
    X(MF_H2_NAME_B3, "b3", 0, 0, 1, 0) \
    X(MF_H2_NAME_SW8, "sw8", 0, 0, 1, 0) \
    X(MF_H2_NAME_EAGLEEYE_TRACEID, "eagleeye-traceid", 0, 0, 1, 0) \

/* X(name's number, name, value), from index 1 on */
#define MF_H2_STATIC_LIST(X) \
    X(MF_H2_NAME_PSEUDO_AUTHORITY, ":authority", "") \
    X(MF_H2_NAME_PSEUDO_METHOD, ":method", "GET") \
    X(MF_H2_NAME_PSEUDO_METHOD, ":method", "POST") \
    X(MF_H2_NAME_PSEUDO_PATH, ":path", "/") \
    X(MF_H2_NAME_PSEUDO_PATH, ":path", "/index.html") \
    X(MF_H2_NAME_PSEUDO_SCHEME, ":scheme", "http") \
    X(MF_H2_NAME_PSEUDO_SCHEME, ":scheme", "https") \
    X(MF_H2_NAME_PSEUDO_STATUS, ":status", "200") \
    X(MF_H2_NAME_PSEUDO_STATUS, ":status", "204") \
    X(MF_H2_NAME_PSEUDO_STATUS, ":status", "206") \
    X(MF_H2_NAME_PSEUDO_STATUS, ":status", "304") \
    X(MF_H2_NAME_PSEUDO_STATUS, ":status", "400") \
    X(MF_H2_NAME_PSEUDO_STATUS, ":status", "404") \
    X(MF_H2_NAME_PSEUDO_STATUS, ":status", "500") \
    X(MF_H2_NAME_ACCEPT_CHARSET, "accept-charset", "") \
    X(MF_H2_NAME_ACCEPT_ENCODING, "accept-encoding", "gzip, deflate") \
    X(MF_H2_NAME_ACCEPT_LANGUAGE, "accept-language", "") \
    X(MF_H2_NAME_ACCEPT_RANGES, "accept-ranges", "") \
    X(MF_H2_NAME_ACCEPT, "accept", "") \
    X(MF_H2_NAME_ACCESS_CONTROL_ALLOW_ORIGIN, "access-control-allow-origin", "") \
    X(MF_H2_NAME_AGE, "age", "") \
    X(MF_H2_NAME_ALLOW, "allow", "") \
    X(MF_H2_NAME_AUTHORIZATION, "authorization", "") \
    X(MF_H2_NAME_CACHE_CONTROL, "cache-control", "") \
    X(MF_H2_NAME_CONTENT_DISPOSITION, "content-disposition", "") \
    X(MF_H2_NAME_CONTENT_ENCODING, "content-encoding", "") \
    X(MF_H2_NAME_CONTENT_LANGUAGE, "content-language", "") \
    X(MF_H2_NAME_CONTENT_LENGTH, "content-length", "") \
    X(MF_H2_NAME_CONTENT_LOCATION, "content-location", "") \
    X(MF_H2_NAME_CONTENT_RANGE, "content-range", "") \
    X(MF_H2_NAME_CONTENT_TYPE, "content-type", "") \
    X(MF_H2_NAME_COOKIE, "cookie", "") \
    X(MF_H2_NAME_DATE, "date", "") \
    X(MF_H2_NAME_ETAG, "etag", "") \
    X(MF_H2_NAME_EXPECT, "expect", "") \
    X(MF_H2_NAME_EXPIRES, "expires", "") \
    X(MF_H2_NAME_FROM, "from", "") \
    X(MF_H2_NAME_HOST, "host", "") \
    X(MF_H2_NAME_IF_MATCH, "if-match", "") \
    X(MF_H2_NAME_IF_MODIFIED_SINCE, "if-modified-since", "") \
    X(MF_H2_NAME_IF_NONE_MATCH, "if-none-match", "") \
    X(MF_H2_NAME_IF_RANGE, "if-range", "") \
    X(MF_H2_NAME_IF_UNMODIFIED_SINCE, "if-unmodified-since", "") \
    X(MF_H2_NAME_LAST_MODIFIED, "last-modified", "") \
    X(MF_H2_NAME_LINK, "link", "") \
    X(MF_H2_NAME_LOCATION, "location", "") \
    X(MF_H2_NAME_MAX_FORWARDS, "max-forwards", "") \
    X(MF_H2_NAME_PROXY_AUTHENTICATE, "proxy-authenticate", "") \
    X(MF_H2_NAME_PROXY_AUTHORIZATION, "proxy-authorization", "") \
    X(MF_H2_NAME_RANGE, "range", "") \
    X(MF_H2_NAME_REFERER, "referer", "") \
    X(MF_H2_NAME_REFRESH, "refresh", "") \
    X(MF_H2_NAME_RETRY_AFTER, "retry-after", "") \
    X(MF_H2_NAME_SERVER, "server", "") \
    X(MF_H2_NAME_SET_COOKIE, "set-cookie", "") \
    X(MF_H2_NAME_STRICT_TRANSPORT_SECURITY, "strict-transport-security", "") \
    X(MF_H2_NAME_TRANSFER_ENCODING, "transfer-encoding", "") \
    X(MF_H2_NAME_USER_AGENT, "user-agent", "") \
    X(MF_H2_NAME_VARY, "vary", "") \
    X(MF_H2_NAME_VIA, "via", "") \
    X(MF_H2_NAME_WWW_AUTHENTICATE, "www-authenticate", "") \

#define MF_H2_STATIC 61
#define MF_H2_NAME_FACTOR 0xE31DEFE7u
#define MF_H2_NAME_SLOTS \
    0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 0, 0, 0, 62, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 18, 0, 0, 46, 13, 0, 71, 0, 0, 0, 36, \
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 39, 0, 0, 0, 25, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 76, 7, 0, 0, 0, 0, 0, 0, 20, 0, 0, 52, 0, 0, 0, 0, 0, 45, 61, 0, 0, 31, 0, 3, 0, 0, 0, 60, 0, 0, 0, \
    42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 48, 47, 0, 0, 44, \
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 21, 0, 0, 0, 0, 0, 0, 35, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 14, \
    50, 73, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0, 38, 0, 15, 8, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 0, 29, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 67, 63, 0, 58, 0, 0, 0, \
    0, 0, 0, 0, 0, 72, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 59, 0, 0, 0, 9, 0, 0, 0, 0, 0, 54, 0, 0, \
    16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 69, 0, 0, 5, 49, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 68, 0, 0, 0, 0, 0, 78, 19, 0, 0, 0, 0, 0, 0, 0, 0, 0, 75, 0, 0, 0, 70, 0, 0, 0, 34, 0, \
    32, 0, 0, 0, 27, 0, 0, 0, 0, 51, 0, 30, 0, 0, 0, 0, 41, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 53, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 64, 4, 0, 0, 0, 43, 74, 0, 0, 0, 65, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 79, 0, 0, 0, 0, 0, 0, 0, 0, 23, 0, 56, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 22, 0, 17, 0, 0, 80, \
    0, 0, 28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 37, 0, 0, 0, 0, 57, 0, 0, 33, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 66, 0, 0, 0, 0, 0, 0, 0, 0, 0, 26, 0, 0, 0, 0, 55, 0, 0, 40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \

