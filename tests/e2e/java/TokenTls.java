/*
 * TLS with a key and certificate from a token, through Java's own PKCS#11 provider.
 *
 *   java TokenTls.java server CONFIG ALIAS         prints the port, serves one connection
 *   java TokenTls.java client CONFIG ALIAS PORT    connects, shows the certificate
 *
 * The PIN is the first line on standard input; the file "root.pem" says whom to trust. What the peer said is printed.
 */
import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.security.KeyStore;
import java.security.Provider;
import java.security.Security;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

public class TokenTls {
    public static void main(String[] args) throws Exception {
        char[] pin = new BufferedReader(new InputStreamReader(System.in)).readLine().toCharArray();
        Provider token = Security.getProvider("SunPKCS11").configure(args[1]);
        Security.addProvider(token);

        KeyStore keys = KeyStore.getInstance("PKCS11", token);
        keys.load(null, pin);
        X509Certificate[] chain = new X509Certificate[keys.getCertificateChain(args[2]).length];
        System.arraycopy(keys.getCertificateChain(args[2]), 0, chain, 0, chain.length);
        System.out.println("chain " + chain.length);
        System.out.println("key " + keys.getKey(args[2], pin).getClass().getName());
        KeyManagerFactory managers = KeyManagerFactory.getInstance("PKIX");
        managers.init(keys, pin);

        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        try (FileInputStream root = new FileInputStream("root.pem")) {
            trusted.setCertificateEntry("root", CertificateFactory.getInstance("X.509").generateCertificate(root));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(trusted);

        SSLContext tls = SSLContext.getInstance("TLSv1.3");
        tls.init(managers.getKeyManagers(), trust.getTrustManagers(), null);
        if (args[0].equals("server")) {
            try (SSLServerSocket listening = (SSLServerSocket) tls.getServerSocketFactory().createServerSocket(0)) {
                listening.setNeedClientAuth(false);
                System.out.println("port " + listening.getLocalPort());
                talk((SSLSocket) listening.accept());
            }
        } else {
            talk((SSLSocket) tls.getSocketFactory().createSocket("localhost", Integer.parseInt(args[3])));
        }
    }

    private static void talk(SSLSocket socket) throws Exception {
        try (socket) {
            socket.startHandshake();
            OutputStream out = socket.getOutputStream();
            out.write("hello from Java\n".getBytes());
            out.flush();
            System.out.println("protocol " + socket.getSession().getProtocol());
            System.out.println("peer said: " + new BufferedReader(new InputStreamReader(socket.getInputStream())).readLine());
        }
    }
}
